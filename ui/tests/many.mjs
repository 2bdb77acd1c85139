// The figures with 500 DAGs and 100,000 lines of log. Started by hand on a running environment:
//
//   CONSOLE_URL=http://127.0.0.1:4571 ENVIRONMENT=hello PROJECT=path/to/hello node ui/tests/many.mjs

import { unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, console_, environment, figure, finish, go, open, picture, step } from "./browser.mjs";

const project = process.env.PROJECT;
const own = `/environments/${environment}`;
const file = (name) => join(project, "dags", name);
const { browser, context, page } = await open();

await step("500 DAGs stay quick", async () => {
  await go(page, `${own}/dags`);
  writeFileSync(file("many.py"), `from datetime import datetime

from airflow import DAG

for number in range(500):
    name = f"many_{number:03}"
    globals()[name] = DAG(name, schedule=None, start_date=datetime(2024, 1, 1), catchup=False)
`);
  await page.getByRole("link", { name: "many_000", exact: true }).waitFor({ timeout: 180_000 });
  await page.getByRole("heading", { name: /DAGs/ }).getByText(/\(50\d\)/).waitFor({ timeout: 180_000 });
  const began = Date.now();
  await go(page, `${own}/dags`);
  await page.getByRole("link", { name: "many_000", exact: true }).waitFor();
  const shown = Date.now() - began;
  const find = Date.now();
  await page.getByRole("searchbox", { name: "Find DAGs" }).fill("many_499");
  await page.getByRole("link", { name: "many_499", exact: true }).waitFor();
  figure("console: 500 DAGs and a few, page shown / one found", `${shown} ms / ${Date.now() - find} ms`);
  unlinkSync(file("many.py"));
});

await step("100,000 lines of log stay quick", async () => {
  const logs = async (operation, data) => {
    const headers = { "x-windtunnel-console": "1", "content-type": "application/x-amz-json-1.1", "x-amz-target": `Logs_20140328.${operation}` };
    const answer = await context.request.post(`${console_}/console/v1/aws/logs/`, { headers, data });
    check(answer.ok(), await answer.text());
  };
  const place = { logGroupName: "airflow-many-Task", logStreamName: "many" };
  await logs("CreateLogGroup", { logGroupName: place.logGroupName }).catch(() => undefined);
  await logs("CreateLogStream", place).catch(() => undefined);
  const start = Date.now() - 100_000;
  for (let batch = 0; batch < 20; batch += 1) {
    const logEvents = Array.from({ length: 5000 }, (_, at) => ({ timestamp: start + batch * 5000 + at, message: `[line ${batch * 5000 + at}] INFO - the task goes on` }));
    await logs("PutLogEvents", { ...place, logEvents });
  }
  const began = Date.now();
  await page.goto(`${console_}/environments/many/logs`);
  await page.getByText("100,000 lines").waitFor({ timeout: 60_000 });
  const shown = Date.now() - began;
  const scroll = Date.now();
  await page.locator(".loglines").evaluate((element) => element.scrollTo(0, element.scrollHeight / 2));
  await page.locator(".loglines .row", { hasText: /line (4999|5000)\d/ }).first().waitFor();
  const scrolled = Date.now() - scroll;
  const find = Date.now();
  await page.getByRole("searchbox", { name: "Find in the log" }).fill("line 77777");
  await page.getByText("1 line", { exact: true }).waitFor();
  figure("console: 100,000 log lines, shown / half-way down / one found", `${shown} ms / ${scrolled} ms / ${Date.now() - find} ms`);
  await picture(page, "log-100000");
});

await browser.close();
finish();
