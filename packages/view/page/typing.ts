/** Whether a key goes to an input rather than to the page. Buttons take the space key alone. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}
