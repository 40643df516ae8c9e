package nibble.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.output.FinishReason;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.datasets.TextStream;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.datasets.chat.StopIds;
import nibble.engine.Backends;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** LangChain4j's models on the bundled model, beside what the engine generates of the same text alone. */
class LocalChatModelTest {
    static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    static final LocalModel.Settings SETTINGS =
            new LocalModel.Settings("cpu", 2, Optional.of("orca-hashes"), 256, 8, 8);
    static final ChatRequestParameters GREEDY =
            ChatRequestParameters.builder().temperature(0.0).maxOutputTokens(16).build();

    @SuppressWarnings("NullAway.Init")
    private static LocalModel model;

    @BeforeAll
    static void open() {
        model = LocalModel.open(MODEL, SETTINGS);
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static ChatResponse chat(ChatRequestParameters parameters, ChatMessage... messages) {
        return new LocalChatModel(model, GREEDY, OptionalLong.empty())
                .chat(ChatRequest.builder()
                        .messages(messages)
                        .parameters(parameters)
                        .build());
    }

    /** The likeliest text, one token after the other, without the service. */
    private static String alone(String template, int tokens, nibble.datasets.chat.ChatMessage... messages) {
        StringBuilder out = new StringBuilder();
        try (Checkpoint checkpoint = Checkpoint.open(MODEL);
                Tokenizer tokenizer = Tokenizers.ofModel(MODEL);
                Backend backend = Backends.open("cpu", 2);
                Llama llama = Llama.load(checkpoint, backend)) {
            SpecialTokens special =
                    new SpecialTokens(Checkpoint.tokenizer(MODEL).orElseThrow().names());
            ChatTemplate format = ChatTemplate.named(template);
            int[] ids = tokenizer.encode(format.render(List.of(messages), special), false);
            TextStream text = new TextStream(tokenizer, format.stops(), ids, out::append);
            Generator.generateWhile(llama, ids, SamplingOptions.GREEDY, tokens, StopIds.of(checkpoint), text::add);
            text.end();
        }
        return out.toString();
    }

    @Test
    void a_greedy_answer_is_the_engines_and_says_what_it_took() {
        ChatResponse response = chat(GREEDY, SystemMessage.from("Be brief."), UserMessage.from("Where is Paris?"));

        assertThat(response.aiMessage().text())
                .isEqualTo(alone(
                        "orca-hashes",
                        16,
                        nibble.datasets.chat.ChatMessage.system("Be brief."),
                        nibble.datasets.chat.ChatMessage.user("Where is Paris?")))
                .isNotBlank();
        assertThat(response.metadata().modelName()).isEqualTo("wiki-7m");
        assertThat(response.metadata().finishReason()).isEqualTo(FinishReason.LENGTH);
        assertThat(response.metadata().tokenUsage().outputTokenCount()).isEqualTo(16);
        assertThat(response.metadata().tokenUsage().inputTokenCount()).isGreaterThan(10);
    }

    @Test
    void a_conversation_with_an_earlier_answer_is_the_templates_text() {
        ChatResponse response =
                chat(GREEDY, UserMessage.from("Hello"), AiMessage.from("Hi."), UserMessage.from("Who was Bach?"));

        assertThat(response.aiMessage().text())
                .isEqualTo(alone(
                        "orca-hashes",
                        16,
                        nibble.datasets.chat.ChatMessage.user("Hello"),
                        nibble.datasets.chat.ChatMessage.assistant("Hi."),
                        nibble.datasets.chat.ChatMessage.user("Who was Bach?")));
    }

    @Test
    void a_stop_text_ends_the_answer_and_is_no_part_of_it() {
        String whole =
                chat(GREEDY, UserMessage.from("Where is Paris?")).aiMessage().text();
        String stop = whole.substring(whole.length() / 2, whole.length() / 2 + 3);

        ChatResponse response =
                chat(ChatRequestParameters.builder().stopSequences(stop).build(), UserMessage.from("Where is Paris?"));

        assertThat(response.aiMessage().text()).isEqualTo(whole.substring(0, whole.indexOf(stop)));
        assertThat(response.metadata().finishReason()).isEqualTo(FinishReason.STOP);
    }

    @Test
    void a_text_of_the_template_that_begins_another_turn_ends_the_answer_and_is_no_part_of_it() {
        String question = "[INST] [INST]";
        LocalModel.Settings llama2 = new LocalModel.Settings("cpu", 2, Optional.of("llama-2-chat"), 256, 8, 8);
        try (LocalModel other = LocalModel.open(MODEL, llama2)) {
            ChatResponse response =
                    new LocalChatModel(other, GREEDY, OptionalLong.empty()).chat(List.of(UserMessage.from(question)));

            assertThat(response.aiMessage().text())
                    .isEqualTo(alone("llama-2-chat", 16, nibble.datasets.chat.ChatMessage.user(question)))
                    .isNotBlank()
                    .doesNotContain("[INST");
            assertThat(response.metadata().finishReason()).isEqualTo(FinishReason.STOP);
            assertThat(response.metadata().tokenUsage().outputTokenCount()).isLessThan(16);
        }
    }

    @Test
    void the_cache_of_many_long_texts_takes_no_more_than_memory_allows() {
        try (Checkpoint checkpoint = Checkpoint.open(MODEL);
                Backend backend = Backends.open("cpu", 2);
                Llama llama = Llama.load(checkpoint, backend)) {
            ModelConfig config = llama.weights().config();
            long fits = Runtime.getRuntime().maxMemory() / 2 / backend.cacheTokenBytes(config, CacheType.AUTO);

            assertThat(LocalModel.cacheTokens(backend, config, CacheType.AUTO, 4096, 2))
                    .isEqualTo(8192);
            assertThat(LocalModel.cacheTokens(backend, config, CacheType.AUTO, 4096, Integer.MAX_VALUE))
                    .isEqualTo((int) Math.min(Integer.MAX_VALUE / 2, fits));
        }
    }

    @Test
    void a_stream_has_the_same_text_in_pieces() {
        List<String> pieces = new ArrayList<>();
        ChatResponse streamed = stream(pieces, OptionalLong.empty(), GREEDY);

        assertThat(pieces).hasSizeGreaterThan(3);
        assertThat(String.join("", pieces)).isEqualTo(streamed.aiMessage().text());
        assertThat(streamed).isEqualTo(chat(GREEDY, UserMessage.from("Where is Paris?")));
    }

    @Test
    void the_same_seed_draws_the_same_text() {
        ChatRequestParameters warm = ChatRequestParameters.builder()
                .temperature(1.2)
                .maxOutputTokens(16)
                .build();

        String first =
                stream(new ArrayList<>(), OptionalLong.of(7), warm).aiMessage().text();

        assertThat(stream(new ArrayList<>(), OptionalLong.of(7), warm)
                        .aiMessage()
                        .text())
                .isEqualTo(first);
        assertThat(stream(new ArrayList<>(), OptionalLong.of(8), warm)
                        .aiMessage()
                        .text())
                .isNotEqualTo(first);
    }

    private static ChatResponse stream(List<String> pieces, OptionalLong seed, ChatRequestParameters parameters) {
        CompletableFuture<ChatResponse> whole = new CompletableFuture<>();
        new LocalStreamingChatModel(model, parameters, seed)
                .chat(List.of(UserMessage.from("Where is Paris?")), new StreamingChatResponseHandler() {
                    @Override
                    public void onPartialResponse(String piece) {
                        pieces.add(piece);
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
        return whole.orTimeout(5, TimeUnit.MINUTES).join();
    }

    @Test
    void texts_asked_for_at_once_are_those_asked_for_alone() {
        List<String> questions = IntStream.range(0, 8)
                .mapToObj(i -> "Tell me of number " + i + ".")
                .toList();
        List<String> together = questions.parallelStream()
                .map(question ->
                        chat(GREEDY, UserMessage.from(question)).aiMessage().text())
                .toList();

        assertThat(together)
                .isEqualTo(questions.stream()
                        .map(question -> chat(GREEDY, UserMessage.from(question))
                                .aiMessage()
                                .text())
                        .toList());
    }

    @Test
    void what_a_local_model_is_not_asked_here_is_refused() {
        UserMessage question = UserMessage.from("Where is Paris?");
        assertThatThrownBy(() -> chat(
                        ChatRequestParameters.builder()
                                .toolSpecifications(
                                        ToolSpecification.builder().name("t").build())
                                .build(),
                        question))
                .isInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("tools");
        assertThatThrownBy(() -> chat(GREEDY, UserMessage.from(ImageContent.from("https://example.org/a.png"))))
                .isInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("IMAGE");
        assertThatThrownBy(() -> chat(
                        ChatRequestParameters.builder().modelName("another").build(), question))
                .isInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("this is wiki-7m");
        assertThatThrownBy(() -> chat(GREEDY, UserMessage.from("word ".repeat(300))))
                .isInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("the context 256");
        assertThatThrownBy(() -> chat(
                        ChatRequestParameters.builder().maxOutputTokens(1000).build(), question))
                .isInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("maxOutputTokens 1000");
        assertThatThrownBy(() -> LocalModel.open(MODEL, LocalModel.Settings.usual()))
                .hasMessageContaining("has no chat template of its own; name one of");
    }

    @Test
    void the_examples_of_the_documentation_run() {
        assertThat(LangChain4jExample.ask(MODEL, "Where is Paris?")).isNotBlank();
        List<String> pieces = new ArrayList<>();
        ChatResponse response = LangChain4jExample.stream(model, "Where is Paris?", pieces::add);
        assertThat(String.join("", pieces)).isEqualTo(response.aiMessage().text());
    }
}
