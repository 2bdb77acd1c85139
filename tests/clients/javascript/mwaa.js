// AWS's JavaScript SDK on an environment that runs: `node mwaa.js ENVIRONMENT`. The endpoint, the keys and the authority
// come from `windtunnel env`; the SDK reads no variable for the host prefix, so that switch is its documented option.
import assert from "node:assert/strict";
import http from "node:http";
import https from "node:https";
import {
  CreateCliTokenCommand,
  CreateEnvironmentCommand,
  CreateWebLoginTokenCommand,
  GetEnvironmentCommand,
  ListEnvironmentsCommand,
  ListTagsForResourceCommand,
  MWAAClient,
  ResourceNotFoundException,
  TagResourceCommand,
  UntagResourceCommand,
  ValidationException,
} from "@aws-sdk/client-mwaa";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const Name = process.argv[2];

/** One request of the CLI endpoint, as AWS's Lambda sample makes it. */
function cli({ WebServerHostname, CliToken }, command) {
  return new Promise((resolve, reject) => {
    const [host, port] = WebServerHostname.split(":");
    const headers = { Authorization: `Bearer ${CliToken}`, "Content-Type": "text/plain" };
    const request = https.request({ host, port, path: "/aws_mwaa/cli", method: "POST", headers }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("error", reject);
    request.end(command);
  });
}

async function walk(client) {
  const listed = await client.send(new ListEnvironmentsCommand({}));
  assert.ok(listed.Environments.includes(Name), listed.Environments);
  const { Environment } = await client.send(new GetEnvironmentCommand({ Name }));
  assert.equal(Environment.Status, "AVAILABLE");
  assert.ok(Environment.CreatedAt instanceof Date && Environment.LastUpdate.CreatedAt instanceof Date);
  const ResourceArn = Environment.Arn;
  await client.send(new TagResourceCommand({ ResourceArn, Tags: { "by js": "yes/no" } }));
  const tags = async () => (await client.send(new ListTagsForResourceCommand({ ResourceArn }))).Tags;
  assert.equal((await tags())["by js"], "yes/no");
  await client.send(new UntagResourceCommand({ ResourceArn, tagKeys: ["by js"] }));
  assert.equal((await tags())["by js"], undefined);
  const web = await client.send(new CreateWebLoginTokenCommand({ Name }));
  assert.equal(web.WebToken.split(".").length, 3);
  assert.ok(web.IamIdentity && web.AirflowIdentity);
  const answer = await cli(await client.send(new CreateCliTokenCommand({ Name })), "version");
  assert.equal(answer.status, 200, answer.text);
  const { stdout, stderr } = JSON.parse(answer.text);
  assert.match(Buffer.from(stdout, "base64").toString(), /^\d+\.\d+\.\d+/m);
  assert.equal(typeof stderr, "string");
  await assert.rejects(client.send(new GetEnvironmentCommand({ Name: "nobody" })), ResourceNotFoundException);
  const nonsense = { Name: "x", ExecutionRoleArn: "?", SourceBucketArn: "?", DagS3Path: "dags", NetworkConfiguration: {} };
  await assert.rejects(client.send(new CreateEnvironmentCommand(nonsense)), ValidationException);
}

await walk(new MWAAClient({ disableHostPrefix: true }));
// With the prefix, as it is sent where `api.localhost` and `env.localhost` resolve.
const asked = new Set();
const lookup = (host, options, done) => {
  asked.add(host);
  options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
};
const endpoint = process.env.AWS_ENDPOINT_URL.replace("127.0.0.1", "localhost");
const requestHandler = new NodeHttpHandler({ httpAgent: new http.Agent({ lookup }) });
await walk(new MWAAClient({ endpoint, requestHandler }));
assert.deepEqual([...asked].sort(), ["api.localhost", "env.localhost"]);
console.log("ok: javascript");
