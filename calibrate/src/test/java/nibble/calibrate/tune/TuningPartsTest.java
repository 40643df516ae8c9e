package nibble.calibrate.tune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.host.ReferenceBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TuningPartsTest {
    private final Backend backend = new ReferenceBackend();

    @TempDir
    Path temp;

    private static int[][] blocks(int count, int length) {
        int[][] blocks = new int[count][length];
        for (int i = 0; i < count; i++) {
            int number = i;
            Arrays.setAll(blocks[i], at -> 10_000 * number + at);
        }
        return blocks;
    }

    @Test
    void every_eighth_block_is_held_back_and_blocks_are_cut_into_sequences() {
        TuningText text = TuningText.of(blocks(17, 1100));

        assertThat(text.length()).isEqualTo(512);
        assertThat(text.forSteps()).isEqualTo(30);
        assertThat(text.heldBack()).containsExactly(30, 31, 32, 33);
        assertThat(text.sequences().get(1)).startsWith(512, 513).hasSize(512);
        assertThat(text.ids(new int[] {30, 33}))
                .hasSize(1024)
                .startsWith(70_000)
                .contains(150_512);
    }

    @Test
    void few_blocks_hold_back_the_last_and_one_block_its_last_sequence() {
        assertThat(TuningText.of(blocks(3, 20)).heldBack()).containsExactly(2);
        TuningText one = TuningText.of(blocks(1, 1536));
        assertThat(one.heldBack()).containsExactly(2);
        assertThat(one.suffices()).isTrue();
        assertThat(TuningText.of(blocks(1, 700)).suffices()).isFalse();
    }

    /** Each round has every sequence once, in an order of its own. */
    @Test
    void steps_go_through_the_text_round_after_round() {
        TuningText text = TuningText.of(blocks(9, 512));
        int[] first = new int[8];
        int[] second = new int[8];
        for (int step = 0; step < 4; step++) {
            System.arraycopy(text.batch(step, 2), 0, first, 2 * step, 2);
            System.arraycopy(text.batch(4 + step, 2), 0, second, 2 * step, 2);
        }
        assertThat(first).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5, 6, 7);
        assertThat(second).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5, 6, 7).isNotEqualTo(first);
    }

    /** Fewer steps than a round go through a part of the text only. */
    @Test
    void only_sequences_of_steps_and_held_back_ones_are_used() {
        TuningText text = TuningText.of(blocks(9, 512));
        int[] first = text.batch(0, 2);
        assertThat(text.used(1, 2))
                .containsExactlyInAnyOrder(first[0], first[1], 8)
                .isSorted();
        assertThat(text.used(5, 2)).containsExactly(0, 1, 2, 3, 4, 5, 6, 7, 8);
    }

    @Test
    void the_rate_rises_over_ten_steps_and_falls_along_a_cosine() {
        assertThat(Adam.share(0, 100)).isCloseTo(0.1, within(1e-9));
        assertThat(Adam.share(10, 100)).isCloseTo((1 + Math.cos(Math.PI / 10)) / 2, within(1e-9));
        assertThat(Adam.share(50, 100)).isCloseTo(0.5, within(1e-9));
        assertThat(Adam.share(99, 100)).isBetween(0.0, 1e-3);
    }

    /** torch.optim.Adam(lr=1e-3, betas=(0.9, 0.99)) with the rates above: three steps of gradients g·w0 for w0 = 2. */
    @Test
    void three_steps_are_those_of_pytorch() {
        GradientOperations operations = backend.gradients();
        Parameter parameter = operations.parameter(new float[] {2, 2});
        float[][] gradients = {{0.5f, -1e-6f}, {0.25f, 2e-6f}, {-1f, 2e-6f}};
        for (int step = 0; step < 3; step++) {
            parameter.addGradient(gradients[step]);
            parameter.move(Adam.step(step, 8));
        }
        float[] change = parameter.state().moved();
        assertThat(change[0]).isCloseTo(-2.268795244e-4f, within(1e-9f));
        assertThat(change[1]).isCloseTo(-1.331811619e-4f, within(1e-9f));
        assertThat(parameter.values()[0]).isEqualTo(2 * (1 + change[0]));
        assertThat(parameter.gradient()).containsOnly(0f);
    }

    @Test
    void a_saved_state_is_taken_up_exactly_and_a_damaged_one_not_at_all() throws IOException {
        GradientOperations operations = backend.gradients();
        Parameter parameter = operations.parameter(new float[] {1, 2, 3});
        parameter.addGradient(new float[] {0, 0.3f, 0});
        parameter.move(Adam.step(0, 5));
        TuningState state = new TuningState(temp);
        state.save(1, new Adam(List.of(parameter)));
        Parameter other = operations.parameter(new float[] {1, 2, 3});
        assertThat(new TuningState(temp).read(new Adam(List.of(other)))).hasValue(1);
        assertThat(other.state()).usingRecursiveComparison().isEqualTo(parameter.state());
        assertThat(other.values()).isEqualTo(parameter.values());

        try (RandomAccessFile file =
                new RandomAccessFile(temp.resolve("tuning.state").toFile(), "rw")) {
            file.seek(9);
            file.write(77);
        }
        Parameter fresh = operations.parameter(new float[] {1, 2, 3});
        assertThat(new TuningState(temp).read(new Adam(List.of(fresh)))).isEmpty();
        assertThat(fresh.state().moved()).containsOnly(0f);
    }
}
