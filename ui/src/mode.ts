// Dark or light: what the person chose, or what the system says.

const KEY = "windtunnel-mode";

export function chosenMode(): "dark" | "light" {
  const kept = localStorage.getItem(KEY);
  if (kept === "dark" || kept === "light") return kept;
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function keepMode(mode: "dark" | "light"): void {
  localStorage.setItem(KEY, mode);
}
