// The module `tslab`, which notebooks for that kernel import: worker/tslab.ts.

declare module "tslab" {
  interface Display {
    javascript(text: string): void;
    html(text: string): void;
    markdown(text: string): void;
    latex(text: string): void;
    svg(text: string): void;
    png(bytes: Uint8Array): void;
    jpeg(bytes: Uint8Array): void;
    gif(bytes: Uint8Array): void;
    pdf(bytes: Uint8Array): void;
    text(text: string): void;
    /** Shows content of any MIME type. */
    raw(contentType: string, content: string | Uint8Array): void;
  }
  /** Shows rich content in the output of the cell. */
  const display: Display;
  /** A display whose content each call replaces. */
  function newDisplay(): Display;
  const versions: { tslab: string; typescript: string; node: string };
}
