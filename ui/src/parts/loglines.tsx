// Many lines of log, of which only those in sight are drawn.

import Box from "@cloudscape-design/components/box";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { clock, plural } from "../format";

export interface LogLine {
  text: string;
  at?: number;
  from?: string;
}

const ROW = 18;
/** Browsers draw nothing beyond some height; 100,000 rows are far below it. */
const MARGIN = 20;

const kind = (text: string) => (/\b(ERROR|CRITICAL|Traceback|Exception)\b/.test(text) ? " error" : /\bWARN(ING)?\b/.test(text) ? " warning" : "");

export function LogLines({ lines, find = "", follow = false, label }: { lines: LogLine[]; find?: string; follow?: boolean; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const needle = find.toLowerCase();
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setHeight(element.clientHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow, lines.length]);
  const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
  const last = Math.min(lines.length, Math.ceil((top + height) / ROW) + MARGIN);
  const rows = [];
  for (let at = first; at < last; at += 1) {
    const line = lines[at];
    if (!line) continue;
    rows.push(
      <div key={at} className={`row${kind(line.text)}`} style={{ top: `${at * ROW}px` }}>
        {line.at !== undefined && <span className="when">{clock(line.at)}</span>}
        {line.from && <span className="when">{line.from}</span>}
        {marked(line.text, needle)}
      </div>,
    );
  }
  return (
    <>
      <div className="loglines" ref={box} style={{ maxHeight: `${Math.max(6, lines.length) * ROW + 24}px` }} tabIndex={0} role="region" aria-label={label} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
        <div className="sheet" style={{ height: `${lines.length * ROW}px` }}>{rows}</div>
      </div>
      <Box color="text-body-secondary" fontSize="body-s">{plural(lines.length, "line")}</Box>
    </>
  );
}

function marked(text: string, needle: string) {
  if (!needle) return text;
  const at = text.toLowerCase().indexOf(needle);
  if (at < 0) return text;
  return <>{text.slice(0, at)}<mark>{text.slice(at, at + needle.length)}</mark>{text.slice(at + needle.length)}</>;
}
