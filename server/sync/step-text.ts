/** Both states and what is possible; what a client made up is not said back. */
export function stepText(steps: Record<string, string[]>, before: string, after: unknown): string {
  const target = typeof after === 'string' && Object.hasOwn(steps, after) ? `to ${after}` : 'to that value';
  const allowed = steps[before] ?? [];
  const possible = allowed.length === 0 ? 'none is possible' : `possible are ${allowed.join(', ')}`;
  return `From ${before} there is no step ${target}: ${possible}.`;
}
