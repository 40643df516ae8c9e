package nibble.cli.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.Checkpoint;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import nibble.pack.WeightReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a model is taken for whose config, names or file name say less or something else than its weights. */
class ModelFormTest extends ModelDataCase {
    @Test
    void a_seq_len_above_the_context_is_said_and_strict_refuses_it() throws IOException {
        write(values -> {}, json -> {});
        String[] quantize = {
            "quantize",
            model.toString(),
            folder.resolve("out").toString(),
            "--group-size",
            "32",
            "--calibration",
            folder.resolve("text.txt").toString(),
            "--samples",
            "2",
            "--seq-len",
            "128"
        };
        assertThat(run(quantize)).isEqualTo(ExitCode.DONE);
        assertThat(terminal.err()).contains("--seq-len 128: the model was made for 64 tokens at most");
        List<String> strict = new ArrayList<>(List.of(quantize));
        strict.set(2, folder.resolve("other").toString());
        strict.add("--strict");
        assertThat(run(strict.toArray(String[]::new))).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(folder.resolve("other")).doesNotExist();
    }

    /**
     * The config says that embeddings are tied, the file says otherwise: the file is right, and what is written says
     * so.
     */
    @Test
    void a_head_that_differs_from_a_tied_embedding_is_kept_and_said() throws IOException {
        write(
                values -> {
                    float[] embedding = values.get("model.embed_tokens.weight");
                    float[] head = new float[embedding.length];
                    for (int i = 0; i < head.length; i++) {
                        head[i] = embedding[head.length - 1 - i];
                    }
                    values.put(HEAD, head);
                },
                json -> {});
        Path out = folder.resolve("out");
        assertThat(run("quantize", model.toString(), out.toString(), "--method", "rtn", "--group-size", "32"))
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.err()).contains("tie_word_embeddings is true", "lm_head.weight differs");
        assertThat(read(out.resolve("config.json")).get("tie_word_embeddings").booleanValue())
                .isFalse();
        Path gguf = folder.resolve("gguf");
        assertThat(run("convert", model.toString(), gguf.toString(), "--to", "gguf", "--type", "F16"))
                .isEqualTo(ExitCode.DONE);
        Path dense = folder.resolve("dense");
        assertThat(run("convert", out.toString(), dense.toString(), "--to", "safetensors"))
                .isEqualTo(ExitCode.DONE);
        try (Checkpoint source = Checkpoint.open(model)) {
            for (Path made : List.of(out, gguf, dense)) {
                try (Checkpoint found = Checkpoint.open(made)) {
                    assertThat(found.remarks()).isEmpty();
                    assertThat(WeightReader.floats(found.tensor(HEAD), made))
                            .isEqualTo(WeightReader.floats(source.tensor(HEAD), model));
                }
            }
        }
        TerminalCapture verify = new TerminalCapture();
        assertThat(verify.run("verify", out.toString(), "--against", model.toString()))
                .isEqualTo(ExitCode.DONE);
    }

    /** vLLM chooses the class by the first name, transformers by model_type: both are written. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {"[\"LLaMAForCausalLM\"]", "[]", "null", "[\"LlamaModel\"]"})
    void what_is_written_names_its_class(String architectures) throws IOException {
        JsonNode named = JSON.readTree(architectures);
        write(values -> {}, json -> json.set("architectures", named));
        Path out = folder.resolve("out");
        assertThat(run("quantize", model.toString(), out.toString(), "--method", "rtn", "--group-size", "32"))
                .isEqualTo(ExitCode.DONE);
        assertThat(read(out.resolve("config.json")).get("architectures")).hasToString("[\"LlamaForCausalLM\"]");
        assertThat(read(out.resolve("config.json")).get("model_type").asText()).isEqualTo("llama");
    }

    /** A wrapper's names are read, and verify says that others do not read them. */
    @Test
    void wrapped_names_are_read_with_a_word_and_verify_refuses_them() throws IOException {
        write(
                values -> {
                    Map<String, float[]> plain = new LinkedHashMap<>(values);
                    values.clear();
                    plain.forEach((name, data) -> values.put("module." + name, data));
                },
                json -> {});
        Path out = folder.resolve("out");
        assertThat(run("quantize", model.toString(), out.toString(), "--method", "rtn", "--group-size", "32"))
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.err()).contains("tensor names have a wrapper (module.");
        try (Checkpoint found = Checkpoint.open(out)) {
            assertThat(found.names()).allMatch(name -> name.startsWith("model."));
        }
        TerminalCapture verify = new TerminalCapture();
        assertThat(verify.run("verify", model.toString())).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(verify.out() + verify.err()).contains("other loaders do not look behind");
    }

    /** Every command that takes a model takes a GGUF file under any name. */
    @Test
    void a_gguf_file_without_its_suffix_goes_through_every_command() throws IOException {
        write(values -> {}, json -> {});
        Path made = folder.resolve("made");
        assertThat(run("convert", model.toString(), made.toString(), "--to", "gguf", "--type", "F16"))
                .isEqualTo(ExitCode.DONE);
        Path blob = Files.move(made.resolve("model-F16.gguf"), folder.resolve("sha256-0123"));
        String text = folder.resolve("text.txt").toString();
        List<List<String>> commands = List.of(
                List.of("inspect", blob.toString()),
                List.of("plan", blob.toString(), "--group-size", "32"),
                List.of("eval", "perplexity", blob.toString(), "--dataset", text, "--context", "16", "--windows", "4"),
                List.of("generate", blob.toString(), "--prompt", "The ", "--max-new-tokens", "4"),
                List.of(
                        "quantize",
                        blob.toString(),
                        folder.resolve("q").toString(),
                        "--group-size",
                        "32",
                        "--method",
                        "rtn"),
                List.of("convert", blob.toString(), folder.resolve("c").toString(), "--to", "safetensors"),
                List.of("convert", blob.toString(), folder.resolve("g").toString(), "--to", "gguf", "--type", "Q8_0"));
        for (List<String> command : commands) {
            TerminalCapture each = new TerminalCapture();
            assertThat(each.run(command.toArray(String[]::new)))
                    .as(command + ": " + each.err())
                    .isEqualTo(ExitCode.DONE);
        }
        // And beside a config.json, as published GGUF folders have one.
        Files.copy(model.resolve("config.json"), made.resolve("config.json"));
        Files.move(blob, made.resolve("model-F16.gguf"));
        assertThat(run("eval", "perplexity", made.toString(), "--dataset", text, "--context", "16", "--windows", "4"))
                .isEqualTo(ExitCode.DONE);
    }
}
