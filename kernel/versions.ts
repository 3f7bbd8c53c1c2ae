// The versions that the kernel tells of itself.

export const versions = { kernel: "0.1.0", typescript: "6.0.3" };
