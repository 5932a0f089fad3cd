/** Names a browser as its owner would. What browsers say of themselves is long and half of it is history: the order matters. */

const BROWSERS: readonly [RegExp, string][] = [
  [/\bEdgA?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(HeadlessChrome|Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const SYSTEMS: readonly [RegExp, string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\b(Macintosh|Mac OS X)\b/, 'Mac'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];
const TERMINAL = 'sluice-cli';
const LONGEST = 40;

export function deviceName(userAgent: string, app = ''): string {
  if (app === TERMINAL || userAgent.startsWith(`${TERMINAL}/`)) return terminalName(userAgent);
  const browser = nameIn(BROWSERS, userAgent);
  const system = nameIn(SYSTEMS, userAgent);
  if (browser !== undefined && system !== undefined) return `${browser} on ${system}`;
  const first = app || browser || system || userAgent.split(/[\s/]/)[0];
  return first === undefined || first === '' ? 'Unknown device' : first.slice(0, LONGEST);
}

/** The client says where it runs: `sluice-cli/1.0 (linux; till-3)`. */
function terminalName(userAgent: string): string {
  const place = /^sluice-cli\/\S+ \(([^)]*)\)/.exec(userAgent)?.[1]?.split('; ').toReversed().join(', ');
  return place === undefined ? 'Terminal client' : `Terminal client on ${place}`.slice(0, 2 * LONGEST);
}

function nameIn(names: readonly [RegExp, string][], userAgent: string): string | undefined {
  return names.find(([pattern]) => pattern.test(userAgent))?.[1];
}
