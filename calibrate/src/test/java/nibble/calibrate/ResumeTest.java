package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.files.output.OutputException;
import nibble.files.output.StoppedException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Runs that end early, with whatever a crash leaves, and go on to the bytes of an undisturbed one. */
class ResumeTest extends ResumeCase {
    @ParameterizedTest
    @EnumSource(Method.class)
    void a_run_stopped_after_each_layer_ends_in_the_same_bytes(Method method) throws IOException {
        QuantizeOptions options = options(method, 32, 20_000);
        Path whole = temp.resolve("whole");
        out = whole;
        QuantizationReport expected = run(options, blocks(3), false, -1);
        out = temp.resolve("out");
        for (int layer = 0; layer < LAYERS - 1; layer++) {
            int done = layer + 1;
            boolean resumed = layer > 0;
            assertThatThrownBy(() -> run(options, blocks(3), resumed, 1))
                    .isInstanceOf(StoppedException.class)
                    .hasMessageContaining(done + " of " + LAYERS + " layers are safe")
                    .hasMessageContaining("--resume")
                    .hasMessageContaining(state.toString());
            assertThat(out).doesNotExist();
        }
        QuantizationReport report = run(options, blocks(3), true, -1);
        assertThat(contents(out)).isEqualTo(contents(whole));
        assertThat(report.layers()).isEqualTo(expected.layers());
        assertThat(report.times().resumedLayers()).isEqualTo(LAYERS - 1);
        assertThat(state).doesNotExist();
    }

    @Test
    void the_number_of_threads_may_change() throws IOException {
        stopAfter(2);
        run(new QuantizeOptions(OPTIONS.method(), OPTIONS.spec(), OPTIONS.maxShardBytes(), 1), blocks(3), true, -1);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void what_is_stopped_before_any_layer_leaves_nothing() throws IOException {
        out = temp.resolve("made/too/out");
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), false, 0))
                .isInstanceOf(StoppedException.class)
                .hasMessageContaining("nothing is kept");
        assertThat(names(temp)).containsExactly("in");
    }

    @Test
    void with_nothing_to_resume_the_run_begins_from_the_beginning() throws IOException {
        resume();
        assertThat(notes).contains("nothing to resume; starting from the beginning");
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void leftovers_are_refused_without_resume_and_left_alone() throws IOException {
        stopAfter(2);
        Map<String, String> before = contents(state);
        assertThatThrownBy(() -> run(OPTIONS, blocks(3), false, -1))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("--resume")
                .hasMessageContaining("delete " + state);
        assertThat(contents(state)).isEqualTo(before);
        resume();
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 30, 400})
    void a_torn_last_line_is_done_anew(int bytes) throws IOException {
        stopAfter(3);
        Path journal = state.resolve("journal.jsonl");
        truncate(journal, Files.size(journal) - bytes);
        assertThat(resume().times().resumedLayers()).isEqualTo(2);
        assertThat(notes).anySatisfy(note -> assertThat(note).contains("was not finished"));
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void data_without_their_line_are_done_anew() throws IOException {
        stopAfter(3);
        Path journal = state.resolve("journal.jsonl");
        List<String> lines = Files.readAllLines(journal);
        Files.writeString(journal, String.join("\n", lines.subList(0, 3)) + "\n");
        assertThat(resume().times().resumedLayers()).isEqualTo(1);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void a_line_whose_data_are_damaged_is_done_anew_with_all_after_it() throws IOException {
        QuantizeOptions manyShards = options(Method.AWQ, 32, 1);
        assertThatThrownBy(() -> run(manyShards, blocks(3), false, 3)).isInstanceOf(StoppedException.class);
        Path shard = shardOf("model.layers.1.self_attn.o_proj.qweight");
        byte[] good = Files.readAllBytes(shard);
        flip(shard);
        assertThat(run(manyShards, blocks(3), true, -1).times().resumedLayers()).isEqualTo(1);
        assertThat(notes).anySatisfy(note -> assertThat(note).contains("layer 1 is damaged"));
        String hidden = shard.getFileName().toString();
        assertThat(out.resolve(hidden.substring(1, hidden.length() - ".partial".length())))
                .hasBinaryContent(good);
    }

    @Test
    void a_flipped_bit_in_the_journal_ends_what_is_believed() throws IOException {
        stopAfter(3);
        Path journal = state.resolve("journal.jsonl");
        String text = Files.readString(journal);
        int at = text.indexOf("\"layer\":1");
        Files.writeString(journal, text.substring(0, at) + "\"layer\":2" + text.substring(at + 9));
        assertThat(resume().times().resumedLayers()).isEqualTo(1);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @ParameterizedTest
    @ValueSource(strings = {"lost", "short", "long"})
    void a_shard_of_the_wrong_length_is_made_anew(String fault) throws IOException {
        stopAfter(3);
        Path shard = shardOf("model.layers.2.mlp.down_proj.qweight");
        switch (fault) {
            case "lost" -> Files.delete(shard);
            case "short" -> truncate(shard, Files.size(shard) - 7);
            default -> Files.write(shard, new byte[1], java.nio.file.StandardOpenOption.APPEND);
        }
        assertThat(resume().times().resumedLayers()).isEqualTo(2);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void a_damaged_embedding_is_carried_over_anew_and_no_layer_is_lost() throws IOException {
        QuantizeOptions manyShards = options(Method.AWQ, 32, 1);
        assertThatThrownBy(() -> run(manyShards, blocks(3), false, 3)).isInstanceOf(StoppedException.class);
        flip(shardOf("model.embed_tokens.weight"));
        assertThat(run(manyShards, blocks(3), true, -1).times().resumedLayers()).isEqualTo(3);
        try (Checkpoint written = Checkpoint.open(out);
                Checkpoint original = Checkpoint.open(source)) {
            assertThat(written.tensor("model.embed_tokens.weight")
                            .data()
                            .mismatch(
                                    original.tensor("model.embed_tokens.weight").data()))
                    .isEqualTo(-1);
        }
    }

    @Test
    void a_run_ended_while_its_files_got_their_names_goes_on() throws IOException {
        stopAfter(3);
        // As if all four layers were there and the first shard had its name already.
        Path shard = shardOf("model.embed_tokens.weight");
        String hidden = shard.getFileName().toString();
        Files.move(shard, shard.resolveSibling(hidden.substring(1, hidden.length() - ".partial".length())));
        Files.writeString(state.resolve("output/config.json"), "{\"half\":");
        Files.writeString(state.resolve("output/tokenizer_config.json"), "");
        assertThat(resume().times().resumedLayers()).isEqualTo(3);
        assertThat(contents(out)).isEqualTo(undisturbed());
    }

    @Test
    void the_rest_of_a_finished_run_is_removed() throws IOException {
        QuantizationReport finished = run(OPTIONS, blocks(3), false, -1);
        Files.createDirectory(state);
        Files.writeString(state.resolve("journal.jsonl"), "whatever\n");
        assertThat(resume().layers()).isEqualTo(finished.layers());
        assertThat(state).doesNotExist();
        assertThat(notes).contains("the output was finished already");
    }
}
