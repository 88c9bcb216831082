// What this browser keeps for the page. Where it keeps nothing, or no more, the page itself does.

const own = new Map();

export function recall(key) {
  if (own.has(key)) return own.get(key);
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // some users let sites keep nothing
  }
}

// Without a value it is forgotten.
export function remember(key, value) {
  own.delete(key);
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    own.set(key, value || null);
  }
}
