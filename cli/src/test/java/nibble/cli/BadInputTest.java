package nibble.cli;

import static nibble.cli.InputDamage.config;
import static nibble.cli.InputDamage.damage;
import static nibble.cli.InputDamage.element;
import static nibble.cli.InputDamage.header;
import static nibble.cli.InputDamage.removal;
import static nibble.cli.InputDamage.replace;
import static nibble.cli.InputDamage.shard;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.InputDamage.Damage;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Damaged, inconsistent and unsupported models: exit code 3, a message that says where and what, nothing left behind.
 */
class BadInputTest {
    private static final Path BUNDLED = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final String SHARD = "model-00002-of-00003.safetensors";
    private static final String INDEX = "model.safetensors.index.json";
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private Path model;

    private final TerminalCapture terminal = new TerminalCapture();

    @BeforeEach
    void copyTheModel() throws IOException {
        model = Files.createDirectory(folder.resolve("model"));
        for (String name : names(BUNDLED)) {
            Files.copy(BUNDLED.resolve(name), model.resolve(name));
        }
    }

    static Stream<Arguments> damages() {
        return Stream.of(
                damage(
                        "a shard cut short",
                        shard(b -> Arrays.copyOf(b, 1_000_000)),
                        SHARD,
                        "tensor model.layers.",
                        "cut short"),
                damage(
                        "a shard with bytes to spare",
                        shard(b -> Arrays.copyOf(b, b.length + 2)),
                        SHARD,
                        "belong to no tensor"),
                damage(
                        "tensors that overlap",
                        header("394240,394752", "394224,394736"),
                        SHARD,
                        "model.layers.",
                        "starts at data byte"),
                damage("a tensor out of range", header("4721664]", "4721666]"), SHARD, "tensor", "4721666"),
                damage(
                        "a header longer than the file",
                        shard(InputDamage::longHeader),
                        SHARD,
                        "byte 0",
                        "50000000",
                        "cut short"),
                damage("a header that is no JSON", header("{\"", "{}"), SHARD, "no valid safetensors header"),
                damage(
                        "an index that names a missing file",
                        replace(INDEX, SHARD, "none.safetensors"),
                        INDEX,
                        "none.safetensors"),
                damage(
                        "an index that names a missing tensor",
                        replace(INDEX, "model.norm.", "model.norma."),
                        INDEX,
                        "model.norma."),
                damage(
                        "an index that leaves its folder",
                        replace(INDEX, SHARD, "../" + SHARD),
                        INDEX,
                        "../" + SHARD,
                        "plain name"),
                damage(
                        "shapes of another config",
                        config(c -> c.put("intermediate_size", 1024)),
                        "gate_proj",
                        "[768, 256]",
                        "[1024, 256]"),
                damage(
                        "another architecture",
                        config(c -> c.putArray("architectures").add("GemmaForCausalLM")),
                        "config.json",
                        "GemmaForCausalLM"),
                damage(
                        "another rope type",
                        config(c -> c.putObject("rope_scaling").put("rope_type", "mrope")),
                        "config.json",
                        "mrope",
                        "llama3"),
                damage(
                        "yarn without a factor",
                        config(c -> c.putObject("rope_scaling").put("rope_type", "yarn")),
                        "config.json",
                        "factor"),
                damage(
                        "a NaN",
                        element(0x7e00),
                        SHARD,
                        "mlp.down_proj.weight element [1, 9] is NaN",
                        "download it again"),
                damage("an infinity", element(0xfc00), SHARD, "mlp.down_proj.weight element [1, 9] is -Infinity"),
                damage("no tokenizer", removal("tokenizer.json", "tokenizer.model"), "no tokenizer", "tokenizer.json"),
                damage("no config", removal("config.json"), "no config.json"),
                damage("a config that is no JSON", replace("config.json", "{", "["), "config.json", "no valid JSON"),
                damage("PyTorch weights that are none", InputDamage::toPyTorch, "pytorch_model.bin", "no zip file"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("damages")
    void is_refused_by_name_and_nothing_is_left(String what, Damage damage, List<String> message) throws IOException {
        damage.accept(model);

        assertThat(terminal.run(
                        "quantize", model.toString(), folder.resolve("made/out").toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains(message).doesNotContain("\tat ");
        assertThat(names(folder)).containsExactly("model");
    }

    @Test
    void a_folder_that_is_not_there_is_said_before_anything_else() throws IOException {
        assertThat(terminal.run(
                        "quantize",
                        folder.resolve("none").toString(),
                        folder.resolve("out").toString()))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("none: no such folder");
        assertThat(names(folder)).containsExactly("model");
    }

    @Test
    void a_tokenizer_that_cannot_be_read_here_is_no_hindrance_to_plain_rounding() throws IOException {
        removal("tokenizer.json").accept(model);
        Files.writeString(model.resolve("tokenizer.model"), "of another kind");
        Path out = folder.resolve("out");

        assertThat(terminal.run("quantize", model.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);
        assertThat(out.resolve("tokenizer.model")).hasSameBinaryContentAs(model.resolve("tokenizer.model"));

        TerminalCapture awq = new TerminalCapture();
        assertThat(awq.run("quantize", model.toString(), folder.resolve("other").toString()))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(awq.err()).contains("its tokenizer.model is neither SentencePiece's BPE nor tiktoken's list");
    }

    /** As many fine-tunes of Llama 2 have it; loaders accept it. */
    @Test
    void a_pad_token_without_a_row_of_the_embedding_is_warned_of_and_accepted() throws IOException {
        Files.writeString(model.resolve("tokenizer_config.json"), """
            {"add_bos_token": true, "bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "LlamaTokenizer", "pad_token": "<pad>",
             "added_tokens_decoder": {"4096": {"content": "<pad>", "special": true}}}\
            """);
        String words = "the tokenizer has <pad> beyond the 4096 rows of the embedding";
        assertThat(terminal.run("verify", model.toString())).as(terminal.out()).isEqualTo(ExitCode.DONE);
        assertThat(terminal.out()).contains("warning [tokenizer]", words);

        TerminalCapture generate = new TerminalCapture();
        assertThat(generate.run("generate", model.toString(), "--prompt", "The <pad> city"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(generate.err()).contains("--prompt: token 3 of the text is id 4096", "4096 rows");

        TerminalCapture gguf = new TerminalCapture();
        assertThat(gguf.run(
                        "convert",
                        model.toString(),
                        folder.resolve("gguf").toString(),
                        "--to",
                        "gguf",
                        "--type",
                        "Q8_0"))
                .as(gguf.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(gguf.out() + gguf.err()).contains(words);

        TerminalCapture quantize = new TerminalCapture();
        assertThat(quantize.run(
                        "quantize", model.toString(), folder.resolve("out").toString(), "--method", "rtn"))
                .as(quantize.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(quantize.err()).contains("warning", words);

        Path text = Files.writeString(folder.resolve("padded.txt"), "The <pad> city of ".repeat(40));
        Path questions = Files.writeString(
                folder.resolve("questions.jsonl"),
                "{\"question_id\": 7, \"category\": \"math\", \"turns\": [\"a <pad>\", \"b\"]}\n");
        for (String[] command : new String[][] {
            {"eval", "perplexity", model.toString(), "--dataset", text.toString(), "--context", "32"},
            {
                "quantize",
                model.toString(),
                folder.resolve("padded").toString(),
                "--calibration",
                text.toString(),
                "--seq-len",
                "32"
            },
            {
                "eval",
                "mt-bench",
                model.toString(),
                "--questions",
                questions.toString(),
                "--template",
                "alpaca",
                "--output",
                folder.resolve("answers.jsonl").toString()
            }
        }) {
            TerminalCapture reader = new TerminalCapture();
            assertThat(reader.run(command)).as(command[1]).isIn(ExitCode.BAD_INPUT, ExitCode.WRONG_USAGE);
            assertThat(reader.err())
                    .as(command[1])
                    .contains("of the text is id 4096, the model has ids 0 to 4095")
                    .doesNotContain("defect");
        }
        assertThat(folder.resolve("padded")).doesNotExist();
    }

    @Test
    void a_sentencepiece_model_alone_becomes_a_tokenizer_json() throws IOException {
        removal("tokenizer.json").accept(model);
        Path out = folder.resolve("out");

        assertThat(terminal.run("quantize", model.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);
        assertThat(out.resolve("tokenizer.json")).exists();
        assertThat(new TerminalCapture()
                        .run("eval", "perplexity", model.toString(), "--windows", "1", "--context", "64"))
                .isEqualTo(ExitCode.DONE);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "eval perplexity MODEL --windows 1 --context 64",
                "generate MODEL --prompt The --max-new-tokens 2"
            })
    void a_NaN_is_named_by_whatever_meets_it(String command) {
        element(0x7e00).accept(model);
        String[] arguments = command.replace("MODEL", model.toString()).split(" ");

        assertThat(terminal.run(arguments)).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err())
                .contains(SHARD, "mlp.down_proj.weight element [1, 9] is NaN")
                .doesNotContain("\tat ");
    }

    static Stream<Arguments> configsNoGroupFits() {
        return Stream.of(
                Arguments.of(
                        config(c -> c.put("hidden_size", 192)
                                .put("num_attention_heads", 2)
                                .put("num_key_value_heads", 1)),
                        List.of("q_proj.weight", "192", "group size 128", "-1")),
                Arguments.of(
                        config(c -> c.put("head_dim", 4)
                                .put("num_attention_heads", 32)
                                .put("num_key_value_heads", 1)),
                        List.of("k_proj.weight", "out-features 4", "multiple of 8")),
                Arguments.of(
                        config(c -> c.putObject("quantization_config")
                                .put("quant_method", "awq")
                                .put("bits", 4)
                                .put("group_size", 128)),
                        List.of("quantized already", "fp16 original")));
    }

    @ParameterizedTest
    @MethodSource("configsNoGroupFits")
    void plan_refuses_what_quantize_would(Damage change, List<String> message) {
        change.accept(model);
        Path config = model.resolve("config.json");

        assertThat(terminal.run("plan", config.toString())).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains(config.toString()).contains(message).doesNotContain("\tat ");
    }

    static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
