package nibble.serve.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.output.FinishReason;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Clients that others wrote, against the started server: LangChain4j, curl, and OpenAI's own for Node. */
class RealClientsTest {
    /** OpenAI's client for Node; npm fetches it once. */
    private static final String OPENAI = "openai@6.49.0";

    private static final String ASKED = "Tell of a film.";

    @SuppressWarnings("NullAway.Init")
    private static TestServer server;

    @SuppressWarnings("NullAway.Init")
    private static String expected;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @BeforeAll
    static void start() throws Exception {
        server = new TestServer();
        expected = server.answer(
                        "/v1/chat/completions",
                        "{'messages': [{'role': 'system', 'content': 'Be short.'}, {'role': 'user', 'content': '"
                                + ASKED + "'}], 'max_tokens': 10, 'temperature': 0}")
                .at("/choices/0/message/content")
                .asText();
    }

    @AfterAll
    static void stop() {
        server.close();
        assertThat(server.log).isEmpty();
    }

    @Test
    void langchain4j_gets_whole_answers() {
        ChatResponse response = OpenAiChatModel.builder()
                .baseUrl(server.uri("/v1").toString())
                .apiKey("none")
                .modelName("wiki")
                .temperature(0.0)
                .maxTokens(10)
                .build()
                .chat(SystemMessage.from("Be short."), UserMessage.from(ASKED));
        assertThat(response.aiMessage().text()).isEqualTo(expected);
        assertThat(response.finishReason()).isEqualTo(FinishReason.LENGTH);
        assertThat(response.tokenUsage().outputTokenCount()).isEqualTo(10);
        assertThat(response.modelName()).isEqualTo("wiki");
    }

    @Test
    void langchain4j_gets_streams() throws Exception {
        StringBuilder pieces = new StringBuilder();
        CompletableFuture<ChatResponse> whole = new CompletableFuture<>();
        OpenAiStreamingChatModel.builder()
                .baseUrl(server.uri("/v1").toString())
                .apiKey("none")
                .modelName("wiki")
                .temperature(0.0)
                .maxTokens(10)
                .build()
                .chat(
                        List.of(SystemMessage.from("Be short."), UserMessage.from(ASKED)),
                        new StreamingChatResponseHandler() {
                            @Override
                            public void onPartialResponse(String piece) {
                                pieces.append(piece);
                            }

                            @Override
                            public void onCompleteResponse(ChatResponse response) {
                                whole.complete(response);
                            }

                            @Override
                            public void onError(Throwable error) {
                                whole.completeExceptionally(error);
                            }
                        });
        ChatResponse response = whole.get(30, TimeUnit.SECONDS);
        assertThat(pieces.toString()).isEqualTo(expected);
        assertThat(response.aiMessage().text()).isEqualTo(expected);
        assertThat(response.tokenUsage().outputTokenCount()).isEqualTo(10);
    }

    @Test
    void curl_gets_an_answer_and_a_stream() throws Exception {
        assumeTrue(runs("curl", "--version"), "curl is not installed");
        String request = "{\"messages\": [{\"role\": \"system\", \"content\": \"Be short.\"}, {\"role\": \"user\","
                + " \"content\": \"" + ASKED + "\"}], \"max_tokens\": 10, \"temperature\": 0, \"stream\": %s}";
        JsonNode whole = TestServer.JSON.readTree(curl(request.formatted("false")));
        assertThat(whole.at("/choices/0/message/content").asText()).isEqualTo(expected);
        String stream = curl(request.formatted("true"));
        assertThat(stream).endsWith("data: [DONE]\n\n");
        StringBuilder text = new StringBuilder();
        for (String event : stream.split("\n\n")) {
            if (!event.endsWith("[DONE]")) {
                text.append(TestServer.JSON
                        .readTree(event.substring(6))
                        .at("/choices/0/delta/content")
                        .asText());
            }
        }
        assertThat(text.toString()).isEqualTo(expected);
    }

    private String curl(String request) throws Exception {
        return run(
                "curl",
                "--silent",
                "--show-error",
                "--no-buffer",
                "--header",
                "Content-Type: application/json",
                "--data",
                request,
                server.uri("/v1/chat/completions").toString());
    }

    @Test
    void openais_client_for_node_gets_answers_streams_completions_and_errors() throws Exception {
        assumeTrue(runs("node", "--version") && runs("npm", "--version"), "Node and npm are not installed");
        assumeTrue(runs("npm", "install", "--no-audit", "--no-fund", OPENAI), "npm cannot fetch " + OPENAI);
        Files.writeString(folder.resolve("client.mjs"), """
            import OpenAI from "openai";
            const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
            const asked = { model: "wiki", temperature: 0, max_tokens: 10, messages: [
              { role: "system", content: "Be short." }, { role: "user", content: "Tell of a film." }] };
            const out = {};
            const whole = await client.chat.completions.create(asked);
            out.whole = whole.choices[0].message.content;
            out.usage = whole.usage.completion_tokens;
            out.stream = "";
            for await (const piece of await client.chat.completions.create(
                { ...asked, stream: true, stream_options: { include_usage: true } })) {
              out.stream += piece.choices[0]?.delta?.content ?? "";
              if (piece.usage) out.streamUsage = piece.usage.completion_tokens;
            }
            const helper = client.chat.completions.stream(asked);
            out.helper = (await helper.finalChatCompletion()).choices[0].message.content;
            const text = await client.completions.create({ model: "wiki", prompt: "The city of", max_tokens: 4, logprobs: 1, temperature: 0 });
            out.tokens = text.choices[0].logprobs.tokens.join("") === text.choices[0].text;
            out.models = (await client.models.list()).data.map(model => model.id);
            out.model = (await client.models.retrieve("wiki-alias")).id;
            try {
              await client.chat.completions.create({ ...asked, model: "nope" });
            } catch (e) {
              out.error = [e.constructor.name, e.status, e.code, e.param];
            }
            const stopped = await client.chat.completions.create({ ...asked, max_tokens: undefined, stream: true });
            for await (const piece of stopped) { stopped.controller.abort(); }
            console.log(JSON.stringify(out));
            """);
        JsonNode out = TestServer.JSON.readTree(
                run("node", "client.mjs", server.uri("/v1").toString()));
        assertThat(out.get("whole").asText()).isEqualTo(expected);
        assertThat(out.get("stream").asText()).isEqualTo(expected);
        assertThat(out.get("helper").asText()).isEqualTo(expected);
        assertThat(out.get("usage").asInt()).isEqualTo(10);
        assertThat(out.get("streamUsage").asInt()).isEqualTo(10);
        assertThat(out.get("tokens").asBoolean()).isTrue();
        assertThat(out.get("models").toString()).isEqualTo("[\"wiki\",\"wiki-alias\"]");
        assertThat(out.get("model").asText()).isEqualTo("wiki-alias");
        assertThat(out.get("error").toString()).isEqualTo("[\"NotFoundError\",404,\"model_not_found\",\"model\"]");
    }

    private boolean runs(String... command) throws InterruptedException {
        try {
            Process process = new ProcessBuilder(command)
                    .directory(folder.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(folder.resolve("log").toFile())
                    .start();
            return process.waitFor(90, TimeUnit.SECONDS) && process.exitValue() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    private String run(String... command) throws Exception {
        Path out = folder.resolve("out");
        Path err = folder.resolve("err");
        Process process = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(Files.readString(err)).isZero();
        return Files.readString(out, StandardCharsets.UTF_8);
    }
}
