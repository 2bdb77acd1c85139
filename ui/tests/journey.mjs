// The console on a real environment, as a person uses it. Started by tests/it/console.rs.

import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { axe, check, console_, environment, figure, finish, go, open, picture, step } from "./browser.mjs";

const project = process.env.PROJECT;
const own = `/environments/${environment}`;
const dagText = (name, more = "") => `from datetime import datetime

from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False, tags=["by-hand"])
def ${name}():
    @task
    def say(**context):
        print("a line for the console", context["dag_run"].conf)
        return {"answer": context["dag_run"].conf.get("answer", 0)}

    say()


${name}()
${more}`;
const file = (name) => join(project, "dags", name);

const { browser, context, page } = await open();
const row = (text) => page.locator("tr", { hasText: text });

await step("the first page is there within a second and shows the environment", async () => {
  await page.goto(console_ + "/");
  const began = Date.now();
  await page.goto(console_ + "/");
  await row(environment).getByText("available").waitFor();
  figure("console: first page shown, caches warm", `${Date.now() - began} ms`);
  const sizes = await page.evaluate(() => performance.getEntriesByType("resource").filter((one) => /assets/.test(one.name)).reduce((sum, one) => sum + one.encodedBodySize, 0));
  figure("console: bytes of scripts and styles for it", `${Math.round(sizes / 1000)} kB`);
});

await step("details are what GetEnvironment says, also after a reload", async () => {
  await page.getByRole("table").getByRole("link", { name: environment, exact: true }).click();
  await page.getByText("mw1.").first().waitFor();
  await page.reload();
  await page.getByText(`environment/${environment}`).first().waitFor();
  check(page.url().endsWith(`${own}/details`), page.url());
});

await step("a saved DAG is seen without a reload in under a second", async () => {
  await go(page, `${own}/dags`);
  await row("hello_taskflow").first().waitFor();
  const times = [];
  for (const name of ["seen_one", "seen_two", "seen_three"]) {
    const began = Date.now();
    writeFileSync(file(`${name}.py`), dagText(name));
    await page.getByRole("link", { name, exact: true }).waitFor();
    times.push(Date.now() - began);
  }
  figure("console: save → seen in the page", times.map((time) => `${time} ms`).join(", "));
  check(Math.min(...times) < 1000, `it took ${times}`);
  for (const name of ["seen_two.py", "seen_three.py"]) unlinkSync(file(name));
  await page.getByRole("link", { name: "seen_three", exact: true }).waitFor({ state: "detached" });
});

await step("an import error is shown with its line, and cleared", async () => {
  writeFileSync(file("broken.py"), "from airflow import DAG\n\nx = 1\nundefined_name\n");
  await page.getByText("broken.py does not import").waitFor();
  await page.locator(".source .marked", { hasText: "undefined_name" }).waitFor();
  await picture(page, "import-error");
  writeFileSync(file("broken.py"), "from airflow import DAG\n");
  await page.getByText("broken.py does not import").waitFor({ state: "detached" });
});

await step("a DAG is triggered with a configuration and its success seen", async () => {
  await page.getByRole("button", { name: "Trigger seen_one" }).click();
  await page.getByRole("dialog").getByRole("textbox").fill('{"answer": 42}');
  await page.getByRole("dialog").getByRole("button", { name: "Trigger", exact: true }).click();
  await row("seen_one").locator(".bars .success").waitFor({ timeout: 60_000 });
  await row("seen_one").locator(".bars button").last().click();
  await page.getByRole("heading", { name: /^Run / }).waitFor();
});

await step("the run's log and what it handed on are shown", async () => {
  await page.getByRole("button", { name: "Log of say" }).click();
  await page.locator(".loglines", { hasText: "a line for the console" }).waitFor();
  await page.getByRole("button", { name: "Show return_value of say" }).click();
  await page.locator(".plain", { hasText: "42" }).waitFor();
  await picture(page, "run");
});

await step("a DAG is paused and unpaused", async () => {
  await go(page, `${own}/dags`);
  const toggle = page.getByRole("checkbox", { name: "seen_one runs on its schedule" });
  await toggle.waitFor();
  const paused = async () => (await context.request.get(`${console_}/console/v1${own}/airflow/api/v1/dags/seen_one`)).json().then((dag) => dag.is_paused);
  await toggle.click();
  await until("it is paused", async () => await paused());
  await until("the page shows it", async () => !(await toggle.isChecked()));
  await toggle.click();
  await until("it runs again", async () => !(await paused()));
});

await step("versions of a file, their difference, the runs of each, and restore", async () => {
  writeFileSync(file("seen_one.py"), dagText("seen_one", "# a second version\n"));
  await go(page, `${own}/code?key=dags/seen_one.py`);
  await page.getByRole("heading", { name: /Versions of/ }).getByText("(2)").waitFor();
  await page.locator("tr", { hasText: "(current)" }).waitFor();
  const boxes = page.getByRole("checkbox", { name: /Choose version/ });
  await boxes.nth(0).click();
  await boxes.nth(1).click();
  await page.locator(".diff .added", { hasText: "a second version" }).waitFor();
  await page.locator("td", { hasText: "success" }).first().waitFor();
  await picture(page, "difference");
  await page.getByRole("button", { name: /Restore version/ }).click();
  await page.getByRole("heading", { name: /Versions of/ }).getByText("(3)").waitFor();
});

await step("the timeline has the saves, the parses and the runs", async () => {
  await go(page, `${own}/timeline`);
  await page.locator("svg rect").first().waitFor();
  await row("dags/seen_one.py").first().waitFor();
});

await step("tokens are made and open what they are for", async () => {
  await go(page, `${own}/access`);
  await page.getByRole("button", { name: "Make a cli token" }).click();
  await page.getByText(/good for \d+ s/).waitFor();
  const made = await context.request.post(`${console_}/console/v1/aws/airflow/clitoken/${environment}`, { headers: { "x-windtunnel-console": "1" } });
  const { CliToken, WebServerHostname } = await made.json();
  const said = await fetch(`http://${WebServerHostname}/aws_mwaa/cli`, { method: "POST", headers: { authorization: `Bearer ${CliToken}`, "content-type": "text/plain" }, body: "dags list -o json" });
  const { stdout } = await said.json();
  check(Buffer.from(stdout, "base64").toString().includes("seen_one"), "the token lists DAGs");
});

await step("roles are asked of Airflow itself", async () => {
  await page.getByRole("button", { name: "Ask Airflow" }).click();
  const trigger = page.locator("tr", { hasText: "Trigger DAGs" });
  await trigger.getByText("yes").first().waitFor();
  await until("every role was asked", async () => (await page.getByText("not asked").count()) === 0);
  check((await trigger.getByText("no", { exact: true }).count()) >= 2, "a viewer triggers nothing");
});

await step("Airflow's own UI opens, logged in", async () => {
  const popup = context.waitForEvent("page");
  await page.getByRole("button", { name: "Open Airflow UI", exact: true }).click();
  const airflow = await popup;
  await airflow.waitForURL(/home|dags/, { timeout: 60_000 });
  await airflow.getByText("seen_one").first().waitFor({ timeout: 60_000 });
  await airflow.close();
});

await step("S3: upload by dropping, versions, delete marker, restore", async () => {
  const { environments } = await (await context.request.get(`${console_}/console/v1/status`)).json();
  await go(page, `/s3/${environments[0].bucket}`);
  await drop("note.txt", "first");
  await page.getByRole("link", { name: "note.txt", exact: true }).waitFor();
  await drop("note.txt", "second");
  await page.getByRole("link", { name: "note.txt", exact: true }).click();
  await until("there are two versions", async () => (await page.getByRole("link", { name: "Download note.txt" }).count()) === 2);
  const body = await context.request.get(await page.getByRole("link", { name: "Download note.txt" }).last().getAttribute("href").then((href) => console_ + href));
  check((await body.text()) === "first", "the older version is as it was");
  await page.goBack();
  await page.getByRole("button", { name: "Delete note.txt" }).click();
  await page.getByRole("link", { name: "note.txt", exact: true }).waitFor({ state: "detached" });
  await page.getByRole("checkbox", { name: "Show versions" }).click();
  await page.getByText("delete marker").first().waitFor();
  await picture(page, "s3-versions");
  await page.getByRole("button", { name: "Restore note.txt" }).first().click();
  await page.getByText("note.txt is back").waitFor();
});

await step("what MWAA's API refuses is said in its words, and is in the activity", async () => {
  await go2("/create");
  await page.getByRole("textbox", { name: "Name" }).fill("1 bad name");
  await page.getByRole("button", { name: /Skip to|Next/ }).first().click();
  await page.getByRole("button", { name: "Next", exact: true }).or(page.getByRole("button", { name: "Create environment" })).first().click();
  const create = page.getByRole("button", { name: "Create environment" });
  if (!(await create.isVisible())) await page.getByRole("button", { name: "Next", exact: true }).click();
  await create.click();
  await page.getByText("MWAA refused it").first().waitFor();
  await picture(page, "refused");
  await go(page, "/activity?service=airflow");
  const refused = page.locator("tr", { hasText: "CreateEnvironment" });
  await refused.getByText("400").waitFor();
  await refused.click();
  await page.locator(".plain", { hasText: "message" }).first().waitFor();
  await page.getByRole("tab", { name: "Request" }).click();
  await page.locator(".plain", { hasText: "SourceBucketArn" }).waitFor();
});

await step("activity is live and blanks secrets", async () => {
  await go(page, "/activity?service=airflow");
  await context.request.post(`${console_}/console/v1/aws/airflow/clitoken/${environment}`, { headers: { "x-windtunnel-console": "1" } });
  await page.locator("tr", { hasText: "CreateCliToken" }).first().click();
  await page.locator(".plain", { hasText: '"CliToken": "(hidden)"' }).waitFor();
});

await step("an environment is created by the form, shown with its stage, and deleted by name", async () => {
  await go2("/create");
  await page.getByRole("textbox", { name: "Name" }).fill("second");
  for (let turn = 0; turn < 2; turn += 1) await page.getByRole("button", { name: "Next", exact: true }).click();
  await page.getByRole("button", { name: "Create environment" }).click();
  await page.waitForURL(/environments\/second\/details/);
  await page.getByText("creating", { exact: true }).first().waitFor();
  await page.getByText("available", { exact: true }).first().waitFor({ timeout: 120_000 });
  await picture(page, "created");
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  const dialog = page.getByRole("dialog");
  check(await dialog.getByRole("button", { name: "Delete", exact: true }).isDisabled(), "the name must be typed");
  await dialog.getByRole("textbox").fill("second");
  await dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await page.waitForURL(`${console_}/`);
  await page.getByRole("link", { name: "second", exact: true }).waitFor({ state: "detached", timeout: 60_000 });
});

await step("tags are set and taken away", async () => {
  await go(page, `${own}/tags`);
  await page.getByLabel("Key").fill("team");
  await page.getByLabel("Value").fill("data");
  await page.getByRole("button", { name: "Set tag" }).click();
  await row("team").getByText("data").waitFor();
  await page.getByRole("button", { name: "Remove tag team" }).click();
  await row("team").waitFor({ state: "detached" });
});

await step("what processes print is followed live", async () => {
  await go(page, `${own}/logs`);
  await page.getByRole("tab", { name: "Processes" }).click();
  await page.locator(".loglines .row").first().waitFor();
});

await step("without the page's header, or from a page elsewhere, nothing is changed", async () => {
  const plain = await context.request.post(`${console_}/console/v1/shutdown`);
  check(plain.status() === 403, `without the header: ${plain.status()}`);
  const foreign = await context.request.post(`${console_}/console/v1/shutdown`, { headers: { "x-windtunnel-console": "1", origin: "http://localhost:1" } });
  check(foreign.status() === 403, `from another port: ${foreign.status()}`);
});

const PAGES = [
  ["environments", "/"], ["details", `${own}/details`], ["dags", `${own}/dags`], ["dag", `${own}/dags/seen_one`], ["timeline", `${own}/timeline`],
  ["code", `${own}/code?key=dags/seen_one.py`], ["logs", `${own}/logs`], ["monitoring", `${own}/monitoring`], ["workers", `${own}/workers`],
  ["requirements", `${own}/requirements`], ["plugins", `${own}/plugins`], ["startup", `${own}/startup`], ["access", `${own}/access`],
  ["tags", `${own}/tags`], ["create", "/create"], ["edit", `${own}/edit`], ["s3", "/s3"], ["activity", "/activity?service=airflow"],
];

await step("every page passes axe, light and dark, and fits 390 px", async () => {
  const held = [];
  for (const mode of ["light", "dark"]) {
    await page.evaluate((mode) => localStorage.setItem("windtunnel-mode", mode), mode);
    for (const [name, path] of PAGES) {
      await go2(path);
      await settled();
      await picture(page, `${name}-${mode}`);
      for (const one of await axe(page)) held.push(`${name} (${mode}): ${one}`);
    }
  }
  await page.evaluate(() => localStorage.setItem("windtunnel-mode", "light"));
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [name, path] of PAGES) {
    await go2(path);
    await settled();
    await picture(page, `${name}-390`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 392) held.push(`${name}: ${wide} px wide on a screen of 390`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
  check(held.length === 0, held.join("\n"));
});

async function settled() {
  await page.getByText(/^(Loading|Asking)/).first().waitFor({ state: "detached", timeout: 8000 }).catch(() => undefined);
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
  await page.waitForTimeout(200);
}

async function go2(path) {
  await page.goto(console_ + path, { waitUntil: "domcontentloaded" });
  await page.locator("h1, h2").first().waitFor();
}

async function until(what, holds) {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    check(Date.now() < deadline, `waited in vain: ${what}`);
    await page.waitForTimeout(100);
  }
}

async function drop(name, text) {
  const transfer = await page.evaluateHandle(([name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, { type: "text/plain" }));
    return transfer;
  }, [name, text]);
  await page.locator(".drop").dispatchEvent("drop", { dataTransfer: transfer });
  await page.getByText("1 file uploaded").first().waitFor();
}

await browser.close();
check(readFileSync(file("seen_one.py"), "utf8").includes("a second version"), "the project's folder is never written");
finish();
