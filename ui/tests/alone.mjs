// The console without an environment: what a first run shows, and that many versions stay quick.
// Started by tests/it/console.rs.

import { axe, check, console_, figure, finish, go, open, picture, step } from "./browser.mjs";

const { browser, context, page } = await open();
const headers = { "x-windtunnel-console": "1" };
const VERSIONS = 5000;

await step("an empty project shows what to do next", async () => {
  await go(page, "/");
  await page.getByText("windtunnel init my-project").waitFor();
  await page.getByRole("button", { name: "Create environment" }).waitFor();
  await picture(page, "first-run");
  const held = await axe(page);
  check(held.length === 0, held.join("\n"));
});

await step("a page that does not exist says so, a bucket that does not exist too", async () => {
  await page.goto(`${console_}/no/such/page`);
  await page.getByText("There is no such page").waitFor();
  await page.goto(`${console_}/s3/no-such-bucket`);
  await page.getByText("bucket `no-such-bucket` does not exist").waitFor();
});

await step("5,000 versions of one object are paged", async () => {
  const [bucket] = await (await context.request.get(`${console_}/console/v1/buckets`)).json();
  const put = (at) => context.request.put(`${console_}/console/v1/object?bucket=${bucket.name}&key=dags/many.py`, { headers, data: `version = ${at}\n` });
  for (let at = 0; at < VERSIONS; at += 50) await Promise.all(Array.from({ length: 50 }, (_, more) => put(at + more)));
  const began = Date.now();
  await page.goto(`${console_}/s3/${bucket.name}?key=dags/many.py`);
  await page.getByText("(100+)").waitFor();
  const shown = Date.now() - began;
  const next = page.getByRole("button", { name: "Next page" });
  const turn = Date.now();
  await next.click();
  await page.getByText("Page 2").waitFor();
  await page.getByText("(100+)").waitFor();
  const turned = Date.now() - turn;
  figure("console: 5,000 versions, first page / next page", `${shown} ms / ${turned} ms`);
  await picture(page, "versions-5000");
});

await step("a file is uploaded by hand", async () => {
  const [bucket] = await (await context.request.get(`${console_}/console/v1/buckets`)).json();
  await go(page, `/s3/${bucket.name}`);
  await page.locator("input[type=file]").setInputFiles({ name: "chosen.txt", mimeType: "text/plain", buffer: Buffer.from("chosen") });
  await page.getByRole("link", { name: "chosen.txt", exact: true }).waitFor();
});

await browser.close();
finish();
