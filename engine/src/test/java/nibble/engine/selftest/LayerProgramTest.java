package nibble.engine.selftest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import nibble.engine.backend.Workers;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.natives.LayerProgram;
import nibble.engine.host.natives.LayerSteps;
import nibble.engine.host.natives.ProgramRoom;
import nibble.engine.host.natives.RowSteps;
import nibble.engine.host.stored.FewRows;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class LayerProgramTest {
    @ParameterizedTest
    @MethodSource("nibble.engine.selftest.RowsTogetherTest#kernels")
    void products_in_a_program_have_the_bits_of_single_ones(Kernels kernels) {
        for (int threads = 1; threads <= 3; threads++) {
            try (VectorBackend backend = new VectorBackend(threads, kernels);
                    Workers workers = new Workers(threads);
                    Arena arena = Arena.ofShared()) {
                for (Weight weight : RowsTogetherTest.weights()) {
                    float[] x = new Operands(31).values(weight.inFeatures());
                    ProgramRoom room = new ProgramRoom(workers, kernels, arena);
                    MemorySegment in = room.floats(x.length);
                    MemorySegment out = room.floats(weight.outFeatures());
                    LayerSteps builder = new LayerSteps(room);
                    RowSteps products = builder.products(in);
                    FewRows.of(weight, threads, kernels).record(products, out);
                    products.end();
                    LayerProgram program = builder.build();
                    for (int time = 0; time < 2; time++) {
                        MemorySegment.copy(x, 0, in, ValueLayout.JAVA_FLOAT, 0, x.length);
                        out.fill((byte) -1);
                        program.run(0, new float[0], new float[0]);

                        assertThat(out.toArray(ValueLayout.JAVA_FLOAT))
                                .as("%s, %s, %s", weight.name(), kernels.name(), kernels.activations())
                                .isEqualTo(product(backend, weight, x));
                    }
                }
            }
        }
    }

    private static float[] product(VectorBackend backend, Weight weight, float[] x) {
        try (Matrix row = backend.upload(x, 1, x.length);
                Matrix out = backend.allocate(1, weight.outFeatures())) {
            backend.linear(weight, row, out);
            return backend.download(out);
        }
    }

    @Test
    void what_does_not_fit_is_refused_when_a_program_is_made() {
        Kernels kernels = RowsTogetherTest.kernels().getFirst();
        try (Workers workers = new Workers(1);
                Arena arena = Arena.ofConfined()) {
            ProgramRoom room = new ProgramRoom(workers, kernels, arena);
            LayerSteps builder = new LayerSteps(room);
            MemorySegment four = room.floats(4);
            MemorySegment six = room.floats(6);
            assertThatThrownBy(() -> builder.add(four, six)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> builder.norm(six, new float[4], 1e-5, six))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> builder.turn(six, 4, 2)).isInstanceOf(IllegalArgumentException.class);
            builder.keep(four, four);
            LayerProgram program = builder.build();
            assertThatThrownBy(() -> program.run(2, new float[8], new float[12]))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }
}
