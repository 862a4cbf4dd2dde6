// Reads an OpenAPI document and answers from stdin: {"document": …, "answers": [{"path", "method", "status", "type", "body"}, …]}.
// Validates the document by the specification's own schema, and each answer by the document. Prints {"version", "paths", "problems"}.
import SwaggerParser from "@apidevtools/swagger-parser";
import Ajv2020 from "ajv/dist/2020.js";

let text = "";
for await (const chunk of process.stdin) {
  text += chunk;
}
const { document, answers } = JSON.parse(text);

const problems = [];
try {
  await SwaggerParser.validate(structuredClone(document));
} catch (error) {
  problems.push(`the document: ${error.message} ${JSON.stringify(error.details ?? "")}`);
}

// What is sent and not described is as wrong as what is described and not sent: records are closed here.
const pointed = (schema) => JSON.parse(JSON.stringify(schema).replaceAll("#/components/schemas/", "#/$defs/"));
const definitions = pointed(document.components.schemas);
for (const [name, schema] of Object.entries(definitions)) {
  if (schema.anyOf) {
    continue;
  }
  if (!schema.properties) {
    problems.push(`the record ${name} has no properties`);
  }
  schema.additionalProperties = false;
}
const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });

// Every schema of a request compiles in strict mode: no misspelt keyword, no limit on the wrong type.
for (const [path, item] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(item)) {
    const schema = operation.requestBody?.content["application/json"].schema;
    try {
      if (schema) {
        ajv.compile(schema);
      }
    } catch (error) {
      problems.push(`${method} ${path}: ${error.message}`);
    }
  }
}

for (const { path, method, status, type, body } of answers) {
  const response = document.paths[path]?.[method]?.responses[status];
  const schema = response?.content[type]?.schema;
  if (!schema) {
    problems.push(`${method} ${path} answered ${status} as ${type}, which the document does not know`);
    continue;
  }
  const validate = ajv.compile({ $defs: definitions, ...pointed(schema) });
  if (!validate(body)) {
    problems.push(`${method} ${path} ${status}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(body).slice(0, 300)}`);
  }
}

console.log(JSON.stringify({ version: document.openapi, paths: Object.keys(document.paths), problems }));
