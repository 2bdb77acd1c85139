// A browser on the built console, and what every step needs: waiting, clicking, pictures, checks.

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const console_ = process.env.CONSOLE_URL;
export const environment = process.env.ENVIRONMENT ?? "hello";
const pictures = process.env.SCREENSHOTS;
const SOON = 20_000;

const programs = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = programs.find((path) => path && existsSync(path));
const axeSource = readFileSync(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** Ends with an error when anything was asked of another machine, forbidden by the page's policy, or thrown. */
const faults = [];

export async function open(options = {}) {
  const browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: false, ...options });
  context.setDefaultTimeout(SOON);
  const page = await context.newPage();
  watch(page);
  return { browser, context, page };
}

function watch(page) {
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(console_) && !url.startsWith("data:") && !url.startsWith("blob:") && url !== "about:blank") faults.push(`asked elsewhere: ${url}`);
  });
  page.on("pageerror", (error) => faults.push(`threw: ${error.message}`));
  page.on("console", (message) => {
    if (/Content Security Policy|violates the following/.test(message.text())) faults.push(message.text());
  });
}

const failed = [];

export async function step(name, work) {
  const began = performance.now();
  try {
    await work();
    console.log(`step: ${name} ... ok (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed.push(name);
    console.log(`step: ${name} ... FAILED (${((performance.now() - began) / 1000).toFixed(1)} s)\n${error.stack ?? error}`);
  }
}

export function figure(what, value) {
  console.log(`figure: ${what}: ${value}`);
}

export function finish() {
  for (const fault of new Set(faults)) {
    console.log(`fault: ${fault}`);
    failed.push(fault);
  }
  if (failed.length > 0) {
    console.log(`${failed.length} failed`);
    process.exit(1);
  }
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

export async function go(page, path) {
  await page.goto(console_ + path, { waitUntil: "domcontentloaded" });
  await page.locator("h1").first().waitFor();
}

export async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: false });
}

/** What axe holds against the page (WCAG 2.1 A and AA). */
export async function axe(page) {
  const session = await page.context().newCDPSession(page);
  // The page's policy lets no script in but its own, so the checker comes in by the debugger's door.
  await session.send("Runtime.evaluate", { expression: axeSource });
  const { result } = await session.send("Runtime.evaluate", {
    expression: `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }).then((told) => JSON.stringify(told.violations.map((one) => one.id + ": " + one.help + "\\n    " + one.nodes.slice(0, 4).map((node) => node.html.slice(0, 220) + " " + (node.any[0]?.message ?? "")).join("\\n    "))))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await session.detach();
  return JSON.parse(result.value);
}
