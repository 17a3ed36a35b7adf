#!/usr/bin/env python3
"""The guest's end of agent.py: runs commands for the host.

A connection carries one request and one answer, each a line of JSON; bytes are in base64.
Request: command (shell text), user, stdin, timeout (seconds). Answer: status, output, errors.
"""

import base64
import json
import os
import signal
import socketserver
import subprocess
import tempfile


class Request(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        if not line:
            return
        request = json.loads(line)
        command = ["/bin/sh", "-c", request["command"]]
        if request["user"] != "root":
            command = ["/sbin/runuser", "-u", request["user"], "--", *command]
        # Files, not pipes: a program that the command leaves running keeps nobody waiting.
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            stdin.write(base64.b64decode(request["stdin"]))
            stdin.seek(0)
            home = "/root" if request["user"] == "root" else f"/home/{request['user']}"
            process = subprocess.Popen(
                command, stdin=stdin, stdout=output, stderr=errors, cwd=home, env={**os.environ, "HOME": home, "LC_ALL": "C.UTF-8"},
                start_new_session=True)
            try:
                status = process.wait(request["timeout"])
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = 124
            text = {}
            for name, file in (("output", output), ("errors", errors)):
                file.seek(0)
                text[name] = base64.b64encode(file.read()).decode()
        self.wfile.write(json.dumps({"status": status, **text}).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", 7700), Request).serve_forever()
