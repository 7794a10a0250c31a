// A project that uses a copy of the library: echo serve PATH, echo call PATH TEXT.

import { once } from "node:events";

import { Metadata, Server } from "@grpc/grpc-js";
import { createClient, dial, listen } from "samehost/grpc-js";

import { EchoServiceClient, type EchoServiceServer, EchoServiceService } from "./gen/echo.js";

async function serve(path: string): Promise<void> {
  const stop = once(process, "SIGTERM");
  const server = new Server();
  const service: EchoServiceServer = {
    echo: (call, callback) => {
      callback(null, { text: call.request.text });
    },
  };
  server.addService(EchoServiceService, service);
  const listener = await listen(server, path);
  console.log(`listening on ${path}`);
  await stop;
  await listener.drain(5000);
}

function call(path: string, text: string): void {
  const channel = dial(path);
  const echo = createClient(EchoServiceClient, channel);
  echo.echo({ text }, new Metadata(), { deadline: Date.now() + 5000 }, (error, response) => {
    channel.close();
    if (error !== null) {
      throw error;
    }
    console.log(response.text);
  });
}

const [command, path = "", text = ""] = process.argv.slice(2);
if (command === "serve") {
  await serve(path);
} else {
  call(path, text);
}
