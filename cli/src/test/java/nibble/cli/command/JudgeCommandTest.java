package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Grades two answers by a server that gives 3, 4, 5, … and refuses when it is told to. */
class JudgeCommandTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private HttpServer server;

    private final List<JsonNode> asked = new ArrayList<>();
    private final List<String> keys = new ArrayList<>();
    private int refusedFrom = Integer.MAX_VALUE;

    @BeforeEach
    void start() throws IOException {
        Files.writeString(folder.resolve("answers.jsonl"), """
            {"question_id": 81, "model_id": "tiny", "choices": [{"index": 0, "turns": ["one", "two"]}]}
            {"question_id": 111, "model_id": "tiny", "choices": [{"index": 0, "turns": ["three", "four"]}]}
            """);
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            JsonNode body =
                    new ObjectMapper().readTree(exchange.getRequestBody().readAllBytes());
            boolean refused = asked.size() >= refusedFrom;
            byte[] answer = (refused ? "{\"error\": {\"message\": \"no credit\"}}" : """
                {"choices": [{"message": {"content": "So: [[%d]]"}}],
                 "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
                """.formatted(3 + asked.size()))
                    .getBytes(StandardCharsets.UTF_8);
            if (!refused) {
                asked.add(body);
                keys.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
            }
            exchange.sendResponseHeaders(refused ? 402 : 200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    private int run(TerminalCapture terminal, String... more) {
        return judgedBy("judge-1", terminal, more);
    }

    private int judgedBy(String judge, TerminalCapture terminal, String... more) {
        return terminal.run(Stream.concat(
                        Stream.of(
                                "eval",
                                "mt-bench",
                                "judge",
                                folder.resolve("answers.jsonl").toString(),
                                "--endpoint",
                                "http://127.0.0.1:" + server.getAddress().getPort() + "/v1",
                                "--model",
                                judge,
                                "--output",
                                folder.resolve("judgments.jsonl").toString()),
                        Stream.of(more))
                .toArray(String[]::new));
    }

    @Test
    void four_turns_are_graded_averaged_and_written_for_the_card() throws IOException {
        TerminalCapture terminal = new TerminalCapture(Map.of("OPENAI_API_KEY", "sk-1"), "");
        Path json = folder.resolve("scores.json");

        assertThat(run(terminal, "--json", json.toString())).as(terminal.err()).isEqualTo(ExitCode.DONE);

        assertThat(asked).hasSize(4);
        assertThat(keys).containsOnly("Bearer sk-1");
        assertThat(asked.get(2).path("messages").get(1).path("content").asText())
                .as("math beside the question's own reference")
                .contains("three", "<reference answer>");
        JsonNode scores = new ObjectMapper().readTree(Files.readString(json));
        assertThat(scores.path("score").doubleValue()).isEqualTo(4.5);
        assertThat(scores.path("first_turn").doubleValue()).isEqualTo(4);
        assertThat(scores.path("second_turn").doubleValue()).isEqualTo(5);
        assertThat(scores.path("categories").path("math").doubleValue()).isEqualTo(5.5);
        assertThat(scores.path("prompt_tokens").intValue()).isEqualTo(40);
        assertThat(terminal.out())
                .contains(
                        "MT-bench, tiny judged by judge-1", "average", "4.50", "the judge read 40 tokens and wrote 8");
        assertThat(terminal.out() + terminal.err()).doesNotContain("sk-1");
    }

    @Test
    void a_run_that_the_server_ends_is_resumed_without_asking_twice() throws IOException {
        refusedFrom = 3;
        TerminalCapture first = new TerminalCapture();
        assertThat(run(first)).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(first.err()).contains("HTTP 402", "no credit");
        assertThat(Files.readAllLines(folder.resolve("judgments.jsonl"))).hasSize(3);

        refusedFrom = Integer.MAX_VALUE;
        assertThat(run(new TerminalCapture())).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(run(new TerminalCapture(), "--resume")).isEqualTo(ExitCode.DONE);
        assertThat(asked).hasSize(4);
        assertThat(keys).containsOnly("null");
        TerminalCapture other = new TerminalCapture();
        assertThat(judgedBy("judge-2", other, "--resume")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(other.err()).contains("judgments.jsonl: question 81, turn 1", "judge-1", "judge-2");
        assertThat(asked).hasSize(4);
    }

    @Test
    void a_key_does_not_travel_unencrypted() {
        TerminalCapture terminal = new TerminalCapture(Map.of("JUDGE", "sk-1"), "");
        assertThat(terminal.run(
                        "eval",
                        "mt-bench",
                        "judge",
                        folder.resolve("answers.jsonl").toString(),
                        "--endpoint",
                        "http://judge.example/v1",
                        "--key-variable",
                        "JUDGE",
                        "--model",
                        "j",
                        "--output",
                        folder.resolve("j.jsonl").toString()))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err())
                .contains("the key in JUDGE would travel unencrypted")
                .doesNotContain("sk-1");
    }

    @ParameterizedTest
    @ValueSource(strings = {"https://judge.example/v1?key=sk-2", "https://judge.example/v1#sk-2"})
    void an_endpoint_with_more_than_a_path_is_refused(String endpoint) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(
                        "eval",
                        "mt-bench",
                        "judge",
                        folder.resolve("answers.jsonl").toString(),
                        "--endpoint",
                        endpoint,
                        "--model",
                        "j",
                        "--output",
                        folder.resolve("j.jsonl").toString()))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err())
                .contains("--endpoint https://judge.example/v1: expected an address without ? and #", "--key-variable")
                .doesNotContain("sk-2");
    }

    @Test
    void mt_bench_itself_still_needs_a_model_and_a_file() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("eval", "mt-bench")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("MODEL and --output FILE are needed");
    }
}
