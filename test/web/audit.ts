import type { Page } from 'playwright-core';

/** Runs a check inside the page. It returns what is wrong, so that an empty list passes. */
export async function audit(page: Page, check: () => string[]): Promise<string[]> {
  // As text: the loader of the tests marks functions with a call of its own, which the page does not know.
  return await page.evaluate<string[]>(
    `(() => { const __name = (f) => f; return (${check.toString()})(); })()`,
  );
}

/** Controls that have no name for a screen reader. */
export function unnamed(): string[] {
  const controls = document.querySelectorAll<HTMLElement>(
    'button, a, input, select, textarea, summary, [tabindex="0"]',
  );
  const named = (element: HTMLElement): boolean => {
    const labels =
      element instanceof HTMLInputElement ||
      element instanceof HTMLSelectElement ||
      element instanceof HTMLTextAreaElement
        ? element.labels
        : null;
    const own =
      element.getAttribute('aria-label') ?? element.getAttribute('aria-labelledby') ?? element.textContent;
    return (labels?.length ?? 0) > 0 || own.trim() !== '';
  };
  return [...controls]
    .filter((element) => element.checkVisibility() && !named(element))
    .map((element) => element.outerHTML.slice(0, 200));
}

/** Texts whose contrast is below WCAG AA: 4.5 to 1, or 3 to 1 where they are large. */
export function lowContrast(): string[] {
  type Colour = [number, number, number, number];
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parse = (css: string): Colour => {
    if (!canvas) return [0, 0, 0, 0];
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0, a = 0] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a]: Colour, [R, G, B]: Colour): Colour => [
    r * a + R * (1 - a),
    g * a + G * (1 - a),
    b * a + B * (1 - a),
    1,
  ];
  const groundOf = (element: Element | null): Colour => {
    if (!element) return [255, 255, 255, 1];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own[3] >= 1 ? own : over(own, groundOf(element.parentElement));
  };
  const light = ([r, g, b]: Colour): number => {
    const [x = 0, y = 0, z = 0] = [r, g, b].map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const faults: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!element || node.textContent?.trim() === '' || !element.checkVisibility()) continue;
    // Controls that are switched off are exempt (WCAG 1.4.3).
    if (element.closest(':disabled, [data-disabled], noscript, .sr-only')) continue;
    const style = getComputedStyle(element);
    const ground = groundOf(element);
    const [a, b] = [light(over(parse(style.color), ground)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5))
      faults.push(`${ratio.toFixed(2)} ${style.color} "${(node.textContent ?? '').slice(0, 40)}"`);
  }
  return faults;
}
