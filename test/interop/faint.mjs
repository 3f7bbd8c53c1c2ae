// Runs in the page.

/**
 * Texts in HTML outputs whose contrast with what is behind them is below 3 to 1, what WCAG asks of large texts.
 * @returns {string[]}
 */
export function faintTexts() {
  const rgba = (text) => (text.match(/[\d.]+/g) ?? ["0", "0", "0", "0"]).map(Number);
  const luminance = (color) => {
    const [r, g, b] = color
      .slice(0, 3)
      .map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (element === null) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return (color[3] ?? 1) > 0.5 ? color : behind(element.parentElement);
  };
  return [...document.querySelectorAll('.jp-OutputArea-output[data-mime-type="text/html"] *')].flatMap((element) => {
    const own = [...element.childNodes].filter(({ nodeType }) => nodeType === 3).map((node) => node.textContent.trim());
    if (own.join("") === "") return [];
    const [front, back] = [rgba(getComputedStyle(element).color), behind(element)].map(luminance);
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    return contrast < 3 ? [`${own.join(" ").slice(0, 40)} (${contrast.toFixed(1)})`] : [];
  });
}
