package nibble.serve.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The chat page: as a file, and in headless Chromium where there is one. */
class ChatPageTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void the_page_loads_nothing_and_makes_no_html_of_text() throws Exception {
        try (TestServer server = new TestServer()) {
            HttpResponse<String> page = server.get("/");
            assertThat(page.headers().firstValue("Content-Type")).hasValue("text/html; charset=utf-8");
            assertThat(page.headers().firstValue("Content-Security-Policy").orElseThrow())
                    .contains("default-src 'none'")
                    .contains("script-src 'sha256-")
                    .doesNotContain("unsafe");
            assertThat(page.body())
                    .doesNotContain("innerHTML", "outerHTML", "document.write", "insertAdjacentHTML", "eval(")
                    .doesNotContainPattern("(src|href)=\"(?!data:)");
        }
    }

    @Test
    void a_browser_holds_a_conversation_and_stops_one() throws Exception {
        try (TestServer server = new TestServer();
                Browser browser = Browser.start(folder)) {
            browser.open(server.uri("/"));
            browser.waitFor("document.getElementById('model').textContent === 'wiki'");

            browser.run("at('temperature').value = 0; at('most').value = 6; at('system').value = 'Be"
                    + " short.';at('input').value = '<img src=x onerror=document.title=1> & film';"
                    + " at('form').requestSubmit(); 1");
            browser.waitFor("document.body.dataset.answers === '1'");
            String answer = server.answer(
                            "/v1/chat/completions",
                            "{'messages': [{'role': 'system', 'content': 'Be short.'}, {'role': 'user', 'content':"
                                    + " '<img src=x onerror=document.title=1> & film'}], 'max_tokens': 6,"
                                    + " 'temperature': 0}")
                    .at("/choices/0/message/content")
                    .asText();
            assertThat(browser.run("document.querySelector('.assistant p').textContent")
                            .asText())
                    .isEqualTo(answer);
            assertThat(browser.run("document.querySelector('.user p').textContent")
                            .asText())
                    .startsWith("<img");
            assertThat(browser.run("document.querySelectorAll('#messages img').length")
                            .asInt())
                    .isZero();

            server.slow().pause = 30;
            long before = server.generation.state().generatedTokens();
            browser.run("at('most').value = ''; at('input').value = 'Go on'; at('form').requestSubmit(); 1");
            browser.waitFor("document.querySelectorAll('.assistant p')[1]?.textContent.length > 3");
            browser.run("at('stop').click(); 1");
            browser.waitFor("document.body.dataset.answers === '2'");
            while (server.generation.state().running() > 0) {
                Thread.sleep(10);
            }
            assertThat(server.generation.state().generatedTokens() - before).isLessThan(150);
            assertThat(browser.run("document.querySelectorAll('.error').length").asInt())
                    .isZero();
            assertThat(browser.run("turns.length").asInt()).isEqualTo(4);
            assertThat(server.log).isEmpty();
        }
    }

    /** A Chromium that is told what to do by its DevTools protocol. */
    private static final class Browser implements AutoCloseable {
        private final Process process;
        private final HttpClient client = HttpClient.newHttpClient();
        private final LinkedBlockingQueue<String> messages = new LinkedBlockingQueue<>();
        private final WebSocket socket;
        private int last;

        private Browser(Process process, URI page) {
            this.process = process;
            socket = client.newWebSocketBuilder()
                    .buildAsync(page, new Receiver(messages))
                    .join();
        }

        static Browser start(Path folder) throws Exception {
            for (String name : List.of("chromium", "chromium-browser", "google-chrome")) {
                Process process;
                try {
                    process = new ProcessBuilder(
                                    name,
                                    "--headless=new",
                                    "--no-sandbox",
                                    "--disable-gpu",
                                    "--no-first-run",
                                    "--remote-debugging-port=0",
                                    "--user-data-dir=" + folder,
                                    "about:blank")
                            .start();
                } catch (IOException e) {
                    continue;
                }
                int port = port(process);
                if (port > 0) {
                    return new Browser(process, page(port));
                }
                process.destroyForcibly();
            }
            assumeTrue(false, "no Chromium that starts");
            throw new IllegalStateException();
        }

        private static int port(Process process) throws Exception {
            CompletableFuture<Integer> found = new CompletableFuture<>();
            Thread.ofVirtual().start(() -> {
                try (BufferedReader err = process.errorReader()) {
                    for (String line = err.readLine(); line != null; line = err.readLine()) {
                        if (line.contains("DevTools listening on ")) {
                            found.complete(URI.create(line.replaceFirst(".*(ws://\\S+).*", "$1"))
                                    .getPort());
                        }
                    }
                } catch (IOException e) {
                    // It has ended.
                }
                found.complete(-1);
            });
            return found.get(60, TimeUnit.SECONDS);
        }

        private static URI page(int port) throws Exception {
            try (HttpClient client = HttpClient.newHttpClient()) {
                String list = client.send(
                                HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/json/list"))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString())
                        .body();
                for (JsonNode target : TestServer.JSON.readTree(list)) {
                    if (target.path("type").asText().equals("page")) {
                        return URI.create(target.get("webSocketDebuggerUrl").asText());
                    }
                }
            }
            throw new IllegalStateException("the browser has no page");
        }

        private JsonNode call(String method, Object parameters) throws Exception {
            int id = ++last;
            String message = TestServer.JSON.writeValueAsString(
                    java.util.Map.of("id", id, "method", method, "params", parameters));
            socket.sendText(message, true).join();
            while (true) {
                String text = messages.poll(30, TimeUnit.SECONDS);
                assertThat(text).as("answer to %s", message).isNotNull();
                JsonNode answer = TestServer.JSON.readTree(text);
                if (answer.path("id").asInt() == id) {
                    return answer.get("result");
                }
            }
        }

        void open(URI address) throws Exception {
            call("Page.navigate", java.util.Map.of("url", address.toString()));
        }

        /** Returns the value of an expression. */
        JsonNode run(String expression) throws Exception {
            JsonNode result =
                    call("Runtime.evaluate", java.util.Map.of("expression", expression, "returnByValue", true));
            assertThat(result.has("exceptionDetails"))
                    .as("%s: %s", expression, result)
                    .isFalse();
            return result.at("/result/value");
        }

        void waitFor(String condition) throws Exception {
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            // The page may not be there yet.
            while (!call("Runtime.evaluate", java.util.Map.of("expression", condition, "returnByValue", true))
                    .at("/result/value")
                    .asBoolean()) {
                assertThat(System.nanoTime()).as(condition).isLessThan(deadline);
                Thread.sleep(30);
            }
        }

        @Override
        public void close() throws Exception {
            socket.abort();
            client.close();
            process.destroy();
            if (!process.waitFor(5, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        }
    }

    /** Queues whole messages. */
    private static final class Receiver implements WebSocket.Listener {
        private final LinkedBlockingQueue<String> messages;
        private final StringBuilder text = new StringBuilder();

        Receiver(LinkedBlockingQueue<String> messages) {
            this.messages = messages;
        }

        @Override
        public @Nullable CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
            text.append(data);
            if (last) {
                messages.add(text.toString());
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }
    }
}
