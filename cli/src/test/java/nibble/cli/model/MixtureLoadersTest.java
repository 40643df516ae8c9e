package nibble.cli.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.cli.TerminalCapture;
import nibble.cli.TinyModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What folders of mixtures have for other programs, and what commands say of those that compute something else. */
class MixtureLoadersTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path model(String name) throws IOException {
        return TinyModel.copy(folder, name);
    }

    private Path rtn(Path model) throws IOException {
        Path out = folder.resolve("rtn");
        TinyModel.run("quantize", model, out, "--method", "rtn", "--group-size", "32", "--device", "cpu");
        return out;
    }

    private double perplexity(Path model) throws IOException {
        return TinyModel.perplexity(model, folder.resolve("text.txt"), "48", "reference");
    }

    @Test
    void a_folder_of_gpt_oss_says_which_programs_do_not_load_it() throws IOException {
        Path model = model("gpt-oss-mxfp4");
        TerminalCapture terminal = new TerminalCapture();
        Path rtn = folder.resolve("rtn");
        String[] quantize = {
            "quantize", model.toString(), rtn.toString(), "--method", "rtn", "--group-size", "32", "--device", "cpu"
        };
        assertThat(terminal.run(quantize)).isZero();
        String note = "transformers 5.17 does not load gpt-oss's experts from tensors of their own";
        assertThat(terminal.err()).contains(note);
        assertThat(TinyModel.run("verify", rtn)).contains(note);
        // In 16 bits they are as those programs look for them.
        for (Path source : List.of(model, rtn)) {
            Path dense = folder.resolve("dense-of-" + source.getFileName());
            assertThat(TinyModel.run("convert", source, dense, "--format", "safetensors"))
                    .doesNotContain("transformers");
            TinyModel.run("verify", dense);
            assertThat(perplexity(dense)).isCloseTo(perplexity(source), within(1e-9 * perplexity(source)));
        }
    }

    @Test
    void a_folder_of_llama_4_says_in_which_format_vllm_computes_it() throws IOException {
        Path model = model("llama4");
        String[] names = {"awq", "ct"};
        String note = "vLLM 0.32 computes something else from this";
        for (String name : names) {
            TerminalCapture terminal = new TerminalCapture();
            List<String> quantize = new ArrayList<>(List.of("quantize", model.toString()));
            quantize.addAll(List.of(folder.resolve(name).toString(), "--method", "rtn", "--group-size", "32"));
            quantize.addAll(List.of("--device", "cpu"));
            if (name.equals("ct")) {
                quantize.addAll(List.of("--symmetric", "--format", "compressed-tensors"));
            }
            assertThat(terminal.run(quantize.toArray(String[]::new))).isZero();
            String verified = TinyModel.run("verify", folder.resolve(name));
            for (String said : List.of(terminal.err(), verified)) {
                assertThat(said.contains(note)).isEqualTo(name.equals("awq"));
            }
        }
    }

    /** transformers takes these for granted and leaves them out; vLLM chooses experts by them. */
    @ParameterizedTest
    @CsvSource({"deepseek3, topk_method, noaux_tc", "deepseek3, scoring_func, sigmoid", "deepseek2-lite, n_group, 1"})
    void a_config_of_deepseek_says_how_experts_are_chosen(String name, String key, String value) throws IOException {
        Path model = model(name);
        assertThat(JSON.readTree(model.resolve("config.json").toFile()).hasNonNull(key))
                .isFalse();
        Path rtn = rtn(model);
        Path dense = folder.resolve("dense");
        TinyModel.run("convert", rtn, dense, "--format", "safetensors");
        for (Path made : List.of(rtn, dense)) {
            assertThat(JSON.readTree(made.resolve("config.json").toFile())
                            .get(key)
                            .asText())
                    .isEqualTo(value);
        }
    }
}
