import { expect, it } from "vitest";
import status from "../../fixtures/console/status.json";
import type { Overview } from "./wire";

// Written by the binary's own test: where it says something else, this does not compile.
const told: Overview = status;
/** The other way round: nothing that the page knows of is missing in what the binary says. */
const known: Record<keyof Overview["environments"][number], true> = {
  name: true, status: true, webserver_url: true, airflow_version: true, bucket: true, reason: true, components: true, workers: true, import_errors: true, launch: true,
};

it("knows every member of a status", () => {
  expect(Object.keys(told.environments[0] ?? {}).sort()).toEqual(Object.keys(known).sort());
});
