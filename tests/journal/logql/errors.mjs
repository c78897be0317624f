// Reads queries as a JSON list; for each, prints the places where Grafana's grammar finds an error.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [directory] = process.argv.slice(2);
const grammar = `${directory}/node_modules/@grafana/lezer-logql/index.es.js`;
const { parser } = await import(pathToFileURL(grammar));

function errors(query) {
  const found = [];
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) found.push(query.slice(Math.max(node.from - 10, 0), node.to + 20));
    },
  });
  return found;
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(errors)));
