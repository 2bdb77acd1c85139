// What was done and what went wrong, above every page.

import Flashbar, { type FlashbarProps } from "@cloudscape-design/components/flashbar";
import { useEffect, useState } from "react";

type Notice = FlashbarProps.MessageDefinition;

let notices: Notice[] = [];
let count = 0;
const watchers = new Set<(notices: Notice[]) => void>();

function show(next: Notice[]): void {
  notices = next;
  for (const watcher of watchers) watcher(next);
}

function add(type: FlashbarProps.Type, content: string): void {
  const id = String((count += 1));
  const dismiss = () => show(notices.filter((notice) => notice.id !== id));
  show([{ id, type, content, dismissible: true, dismissLabel: "Dismiss", onDismiss: dismiss }, ...notices].slice(0, 3));
  if (type === "success") window.setTimeout(dismiss, 6000);
}

export const done = (what: string) => add("success", what);
export const failed = (error: unknown) => add("error", error instanceof Error ? error.message : String(error));

/** Does it, and says what came of it. */
export async function attempt(what: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    done(what);
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

export function Notices() {
  const [items, setItems] = useState(notices);
  useEffect(() => {
    watchers.add(setItems);
    return () => void watchers.delete(setItems);
  }, []);
  return <Flashbar items={items} stackItems i18nStrings={{ ariaLabel: "Notices", notificationBarText: "Notices", notificationBarAriaLabel: "Show all notices", errorIconAriaLabel: "Error", successIconAriaLabel: "Success", warningIconAriaLabel: "Warning", infoIconAriaLabel: "Info", inProgressIconAriaLabel: "In progress" }} />;
}
