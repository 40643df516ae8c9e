package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StopSignal;
import nibble.files.output.UnfinishedOutput;
import org.junit.jupiter.api.Test;

/** What a resumed quantization refuses by name, and what stays of the unfinished run. */
class RefusedResumeTest extends ResumeCase {
    @Test
    void a_changed_option_is_named_with_found_and_expected() throws IOException {
        stopAfter(2);
        Map<String, String> before = contents(state);
        assertThatThrownBy(() -> run(options(Method.AWQ, 64, 30_000), blocks(3), true, -1))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("--group-size: found 64, expected 32")
                .hasMessageContaining("--max-shard-size: found 30000 bytes, expected 20000 bytes")
                .hasMessageContaining("delete that folder")
                .hasMessageNotContaining("--method");
        assertThatThrownBy(() -> run(options(Method.RTN, 32, 20_000), blocks(3), true, -1))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("--method: found rtn, expected awq");
        assertThat(contents(state)).isEqualTo(before);
    }

    @Test
    void another_calibration_text_is_refused() throws IOException {
        stopAfter(2);
        assertThatThrownBy(() -> run(OPTIONS, blocks(4), true, -1))
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("calibration: found 3 blocks, 48 of 200 tokens, sha256");
    }

    @Test
    void another_version_is_refused() throws IOException {
        stopAfter(2);
        rewriteStart("\"Nibble's version\":\"0.1.0\"", "\"Nibble's version\":\"0.0.9\"");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("Nibble's version: found 0.1.0, expected 0.0.9");
    }

    @Test
    void another_format_of_the_journal_is_refused() throws IOException {
        stopAfter(2);
        rewriteStart("\"journal_format\":1", "\"journal_format\":2");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("format of the journal");
    }

    @Test
    void a_changed_config_or_side_file_is_named() throws IOException {
        stopAfter(2);
        Files.writeString(source.resolve("config.json"), Files.readString(source.resolve("config.json")) + "\n");
        Files.writeString(source.resolve("tokenizer_config.json"), "{}");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("config.json: found ")
                .hasMessageContaining("tokenizer_config.json: found 2 bytes, sha256");
    }

    @Test
    void changed_weights_of_a_layer_that_is_done_are_named() throws IOException {
        stopAfter(2);
        change("model.layers.1.mlp.up_proj.weight");
        assertThatThrownBy(this::resume)
                .isInstanceOf(ResumeException.class)
                .hasMessageContaining("weights of layer 1: found sha256")
                .hasMessageContaining(state.toString());
        assertThat(state).exists();
    }

    @Test
    void changed_weights_beside_the_layers_are_named() throws IOException {
        stopAfter(2);
        change("lm_head.weight");
        assertThatThrownBy(this::resume).isInstanceOf(ResumeException.class).hasMessageContaining("lm_head.weight");
        assertThat(state).exists();
    }

    @Test
    void a_second_run_on_the_same_output_is_refused_while_one_is_at_work() throws IOException {
        try (UnfinishedOutput _ = UnfinishedOutput.open(out, false)) {
            assertThatThrownBy(() -> run(OPTIONS, blocks(3), true, -1))
                    .isInstanceOf(OutputException.class)
                    .hasMessageContaining("another run of nibble");
        }
        resume();
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void an_input_that_turns_out_bad_leaves_nothing() throws IOException {
        change("model.layers.3.mlp.up_proj.weight", Float.floatToFloat16(Float.NaN));
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), false, -1)).isInstanceOf(BadCheckpointException.class);
        assertThat(names(temp)).containsExactly("in");
    }

    @Test
    void a_failing_writer_ends_the_run_and_keeps_the_layers_before() {
        List<Integer> written = new ArrayList<>();
        OutputException full = new OutputException(temp, "No space left on device");
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Backend backend = Backends.open("cpu", 1)) {
            assertThatThrownBy(() -> Quantizer.run(
                            new QuantizationJob(checkpoint, Optional.of(blocks(3)), OPTIONS),
                            QuantizationDevices.of(backend),
                            (_, _) -> List.of(),
                            layer -> {
                                if (layer.layer() == 1) {
                                    throw full;
                                }
                                written.add(layer.layer());
                            },
                            ProgressListener.NONE,
                            new StopSignal()))
                    .isSameAs(full);
        }
        assertThat(written).containsExactly(0);
    }
}
