// Small things that many pages show.

import Alert from "@cloudscape-design/components/alert";
import Box from "@cloudscape-design/components/box";
import CopyToClipboard from "@cloudscape-design/components/copy-to-clipboard";
import CloudLink from "@cloudscape-design/components/link";
import StatusIndicator, { type StatusIndicatorProps } from "@cloudscape-design/components/status-indicator";
import type { ReactNode } from "react";
import { useLocation } from "wouter";

const KINDS: Record<string, StatusIndicatorProps.Type> = {
  AVAILABLE: "success", CREATING: "in-progress", UPDATING: "in-progress", DELETING: "in-progress",
  ROLLING_BACK: "in-progress", CREATE_FAILED: "error", UPDATE_FAILED: "error", UNAVAILABLE: "stopped", DELETED: "stopped",
  success: "success", failed: "error", running: "in-progress", queued: "pending", scheduled: "pending", up_for_retry: "warning",
  upstream_failed: "error", skipped: "stopped", removed: "stopped", deferred: "pending", restarting: "in-progress", up_for_reschedule: "pending",
};

export function Status({ of }: { of: string | null | undefined }) {
  const text = of ?? "no status";
  return <StatusIndicator type={KINDS[text] ?? "info"}>{text.replace(/_/g, " ").toLowerCase()}</StatusIndicator>;
}

/** A link to another of our pages. */
export function To({ href, children, external }: { href: string; children: ReactNode; external?: boolean }) {
  const [, go] = useLocation();
  if (external) return <CloudLink href={href} external>{children}</CloudLink>;
  return <CloudLink href={href} onFollow={(event) => { event.preventDefault(); go(href); }}>{children}</CloudLink>;
}

export function Copy({ text, secret = false, label }: { text: string; secret?: boolean; label?: string }) {
  if (!text) return <>–</>;
  return (
    <CopyToClipboard variant="inline" textToCopy={text} {...(secret ? { textToDisplay: "••••••••••••" } : {})} {...(label ? { textToDisplay: label } : {})} copySuccessText="Copied" copyErrorText="Not copied" copyButtonAriaLabel="Copy" />
  );
}

export function Trouble({ error, what }: { error: Error | undefined; what: string }) {
  if (!error) return null;
  return <Alert type="error" header={what}>{error.message}</Alert>;
}

export function Nothing({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Box textAlign="center" padding={{ vertical: "l" }} color="inherit">
      <b>{title}</b>
      {children && <Box variant="p" color="text-body-secondary">{children}</Box>}
    </Box>
  );
}

/** Text of a program, with numbered lines; `marked` stands out. */
export function Source({ text, first = 1, marked, label }: { text: string; first?: number; marked?: number; label: string }) {
  const lines = text.replace(/\n$/, "").split("\n");
  return (
    <div className="source" tabIndex={0} role="region" aria-label={label}>
      {lines.map((line, at) => (
        <div key={at} className={at + first === marked ? "line marked" : "line"}>
          <span className="number" data-number={at + first} />
          <code>{line || " "}</code>
        </div>
      ))}
    </div>
  );
}

export function Plain({ text, label }: { text: string; label: string }) {
  return <pre className="plain" tabIndex={0} role="region" aria-label={label}>{text}</pre>;
}
