/** Finding and making elements. */

/** The element with an id that `index.html` has. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) {
    throw new Error(`the page has no ${type.name} #${id}`);
  }
  return found;
}

/** A new element. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  text = '',
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A new element of a drawing. */
export function drawn<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  return made;
}

/** One of the symbols in `index.html`. */
export function icon(name: string): SVGSVGElement {
  const svg = drawn('svg', { 'aria-hidden': 'true' });
  svg.append(drawn('use', { href: `#i-${name}` }));
  return svg;
}

/** Shows a sentence in a paragraph, or hides the paragraph. */
export function say(id: string, text: string | undefined): void {
  const line = byId(id, HTMLParagraphElement);
  line.hidden = text === undefined;
  line.textContent = text ?? '';
}
