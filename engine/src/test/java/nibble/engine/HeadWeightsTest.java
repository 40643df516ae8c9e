package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.util.Random;
import nibble.checkpoint.gguf.GgufType;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.Workers;
import nibble.engine.host.ByteHead;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.DeviceLayers;
import nibble.engine.tensor.HeadWeights;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Weight;
import nibble.engine.tensor.WeightRows;
import org.junit.jupiter.api.Test;

class HeadWeightsTest {
    private static final ModelWeights MODEL = RandomModel.forCuda(0, 2);

    private static float[] row(Weight weight, int row) {
        float[] values = new float[weight.inFeatures()];
        WeightRows.read(weight, row, 0, values.length, values, 0);
        return values;
    }

    @Test
    void bytes_differ_by_half_a_step_of_their_block() {
        DenseWeight head = RandomModel.half(new Random(1), 50, 96);
        try (Workers workers = new Workers(2);
                Arena arena = Arena.ofShared()) {
            Weight bytes = ByteHead.of(head, arena, workers);
            for (int n = 0; n < head.outFeatures(); n++) {
                float[] stored = row(head, n);
                float[] found = row(bytes, n);
                for (int block = 0; block < stored.length; block += 32) {
                    double largest = 0;
                    for (int i = block; i < block + 32; i++) {
                        largest = Math.max(largest, Math.abs(stored[i]));
                    }
                    for (int i = block; i < block + 32; i++) {
                        // Half a step, and the step's rounding to fp16, which 127 of them carry at most.
                        assertThat((double) found[i])
                                .isCloseTo(stored[i], within(largest * (0.5 / 127 + 1.0 / 2048) * 1.0001));
                    }
                }
            }
            assertThat(((BlockWeight) bytes).blocks().data().byteSize()).isEqualTo(50 * 96 / 32 * 34);
        }
    }

    @Test
    void blocks_of_zeros_stay_zero_and_damage_stays_no_number() {
        float[] values = new float[2 * 64];
        values[3] = 1;
        values[40] = Float.NaN;
        values[70] = Float.POSITIVE_INFINITY;
        try (Workers workers = new Workers(1);
                Arena arena = Arena.ofShared()) {
            Weight bytes = ByteHead.of(DenseWeight.of("head", values, 2, 64), arena, workers);
            assertThat(row(bytes, 0)[3]).isCloseTo(1, within(1e-3f));
            assertThat(row(bytes, 0)[0]).isZero();
            assertThat(row(bytes, 0)[33]).isNaN();
            assertThat(row(bytes, 1)[6]).isNaN();
            assertThat(row(bytes, 1)[40]).isZero();
        }
    }

    @Test
    void rows_of_no_whole_blocks_are_refused() {
        try (Workers workers = new Workers(1);
                Arena arena = Arena.ofShared()) {
            assertThatThrownBy(() -> ByteHead.of(RandomModel.half(new Random(1), 2, 48), arena, workers))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("rows of 48 weights");
        }
    }

    @Test
    void a_session_multiplies_with_the_bytes() {
        int[] ids = RandomModel.ids(5, 9, MODEL.config().vocabularySize());
        try (Workers workers = new Workers(2);
                Arena arena = Arena.ofShared();
                Backend stored = new VectorBackend(2);
                Backend bytes = new VectorBackend(2, Kernels.ofMachine(), HeadWeights.INT8);
                Llama withHead = Llama.of(MODEL.withHead(ByteHead.of(MODEL.head(), arena, workers)), stored);
                Llama model = Llama.of(MODEL, bytes);
                Llama plain = Llama.of(MODEL, stored);
                Session expected = withHead.session(20);
                Session found = model.session(20);
                Session other = plain.session(20)) {
            float[] logits = found.append(ids);
            assertThat(logits).isEqualTo(expected.append(ids)).isNotEqualTo(other.append(ids));
            assertThat(found.append(new int[] {7})).isEqualTo(expected.append(new int[] {7}));
            assertThat(bytes.description()).contains("head in int8");
            assertThat(model.weights().head()).isSameAs(MODEL.head());
        }
    }

    @Test
    void a_quantized_head_stays_as_it_is() {
        ModelWeights quantized = MODEL.withHead(RandomModel.blocks(
                new Random(3),
                GgufType.Q4_0,
                MODEL.head().outFeatures(),
                MODEL.head().inFeatures(),
                0));
        try (Backend bytes = new VectorBackend(1, Kernels.ofMachine(), HeadWeights.INT8);
                Llama model = Llama.of(quantized, bytes)) {
            assertThat(model.placed().head()).isSameAs(quantized.head());
        }
    }

    @Test
    void only_the_cpu_takes_it() {
        assertThatThrownBy(() -> Backends.open(
                        "reference", 1, Long.MAX_VALUE, Activations.FP32, HeadWeights.INT8, DeviceLayers.ALL))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("does not take a head in int8: give --device cpu");
    }
}
