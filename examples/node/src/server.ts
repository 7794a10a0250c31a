// A gRPC server on a Unix domain socket: node dist/server.js [PATH]

import { rmSync } from "node:fs";

import { Server, ServerCredentials, type handleUnaryCall } from "@grpc/grpc-js";

import { type GreetRequest, type GreetResponse, GreeterServiceService } from "./gen/samehost/greeter/v1/greeter.js";

const greet: handleUnaryCall<GreetRequest, GreetResponse> = (call, callback) => {
  callback(null, { message: `Hello, ${call.request.name}!` });
};

const path = process.argv[2] ?? "/tmp/greeter.sock";
rmSync(path, { force: true }); // left by a server that was killed
const server = new Server();
server.addService(GreeterServiceService, { greet });
server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
  if (error) {
    throw error;
  }
  console.log(`listening on ${path}`);
});
