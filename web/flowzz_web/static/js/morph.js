// Turns one tree into another in place, so that focus, scroll, selection and open details survive a refresh.

const KEPT = { DETAILS: ["open"], TIME: ["title"], BUTTON: ["hidden"] };

/** Make the children of `target` look like those of `source`. `source` is used up. */
export function morph(target, source) {
  const wanted = [...source.childNodes];
  wanted.forEach((next, place) => {
    const present = target.childNodes[place];
    if (!present) target.append(next);
    else if (!alike(present, next)) present.replaceWith(next);
    else if (present.nodeType === Node.ELEMENT_NODE) become(present, next);
    else if (present.data !== next.data) present.data = next.data;
  });
  while (target.childNodes.length > wanted.length) target.lastChild.remove();
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName;
}

function become(element, next) {
  if (element.isEqualNode(next)) return;
  const kept = KEPT[element.nodeName] ?? [];
  for (const { name } of [...element.attributes]) {
    if (!next.hasAttribute(name) && !kept.includes(name)) element.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (element.getAttribute(name) !== value && !(kept.includes(name) && element.nodeName !== "TIME")) {
      element.setAttribute(name, value);
    }
  }
  morph(element, next);
}
