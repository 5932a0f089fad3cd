/** The environment of this process: the one place of the demo that reads it. */
export function environment(): Record<string, string | undefined> {
  return process.env;
}
