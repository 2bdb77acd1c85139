// One event stream tells every view when to look again. A view keeps nothing that it cannot fetch.

import { useCallback, useEffect, useRef, useState } from "react";
import type { JournalEvent } from "./wire";

type Listener = (event: JournalEvent) => void;

const listeners = new Set<Listener>();
const connection = { up: false, listeners: new Set<(up: boolean) => void>() };
let source: EventSource | null = null;
let retry = 0;

function tell(event: JournalEvent): void {
  for (const listener of listeners) listener(event);
}

function say(up: boolean): void {
  if (connection.up === up) return;
  connection.up = up;
  for (const listener of connection.listeners) listener(up);
}

function connect(): void {
  if (source || document.hidden) return;
  const stream = new EventSource("/console/v1/events?hints=1");
  source = stream;
  stream.onopen = () => {
    say(true);
    // Whatever happened in between was missed, so everybody looks again.
    tell({ type: "Connected" });
  };
  stream.onmessage = (message) => tell(JSON.parse(message.data as string) as JournalEvent);
  stream.onerror = () => {
    say(false);
    if (stream.readyState !== EventSource.CLOSED) return;
    disconnect();
    // A windtunnel that was started again knows another session; its page brings the new one along.
    window.clearTimeout(retry);
    retry = window.setTimeout(() => void fetch("/", { cache: "no-store" }).finally(connect), 1000);
  };
}

function disconnect(): void {
  source?.close();
  source = null;
}

// A browser opens six connections to one host, so pages that nobody sees hold none.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
connect();

export function useConnected(): boolean {
  const [up, setUp] = useState(true);
  useEffect(() => {
    connection.listeners.add(setUp);
    return () => void connection.listeners.delete(setUp);
  }, []);
  return up;
}

export interface Loaded<T> {
  data: T | undefined;
  error: Error | undefined;
  loading: boolean;
  reload: () => void;
}

/** Fetches, and fetches again when `wants` likes an event, or every `everyMs` for what no event tells. */
export function useLive<T>(
  load: (signal: AbortSignal) => Promise<T>,
  deps: readonly unknown[],
  wants: (event: JournalEvent) => boolean = () => false,
  everyMs: number | ((data: T | undefined) => number | null) | null = null,
): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: Error; key: string }>({ key: "" });
  const key = JSON.stringify(deps);
  const latest = useRef({ load, wants, everyMs });
  useEffect(() => {
    latest.current = { load, wants, everyMs };
  });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    let ended = false;
    let running = false;
    let dirty = false;
    let timer = 0;
    const abort = new AbortController();
    const run = async () => {
      if (running) {
        dirty = true;
        return;
      }
      running = true;
      dirty = false;
      window.clearTimeout(timer);
      let data: T | undefined;
      try {
        data = await latest.current.load(abort.signal);
        if (!ended) setState({ data, key });
      } catch (error) {
        if (!ended) setState((before) => ({ ...(before.key === key ? before : {}), error: error as Error, key }));
      }
      running = false;
      if (ended) return;
      if (dirty) void run();
      else schedule(data);
    };
    const schedule = (data: T | undefined) => {
      const every = latest.current.everyMs;
      const pause = typeof every === "function" ? every(data) : every;
      if (pause) timer = window.setTimeout(() => (document.hidden ? schedule(data) : void run()), pause);
    };
    const listener: Listener = (event) => {
      if (event.type === "Connected" || latest.current.wants(event)) void run();
    };
    again.current = () => void run();
    listeners.add(listener);
    void run();
    return () => {
      ended = true;
      window.clearTimeout(timer);
      abort.abort();
      listeners.delete(listener);
    };
  }, [key]);
  const reload = useCallback(() => again.current(), []);
  const current = state.key === key ? state : { key };
  return {
    data: current.data,
    error: current.error,
    loading: current.data === undefined && current.error === undefined,
    reload,
  };
}

/** The time, once a second, for what counts up. */
export function useNow(running: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(() => setNow(Date.now()), 1000);
    return () => window.clearInterval(timer);
  }, [running]);
  return now;
}
