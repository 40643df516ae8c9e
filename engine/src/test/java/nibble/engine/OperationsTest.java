package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.Workers;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;
import nibble.engine.host.vector.Lanes;
import nibble.engine.selftest.SelfTest;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Norm;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class OperationsTest {
    /** The kernels of the native library for every instruction set that this machine has, and none of them. */
    @ParameterizedTest
    @MethodSource
    void every_operation_agrees_with_the_reference(@Nullable Kernels kernels) {
        try (Backend backend = new VectorBackend(2, kernels)) {
            assertThat(SelfTest.run(backend, _ -> {}))
                    .as(backend.description())
                    .hasSizeGreaterThan(12)
                    .allSatisfy(check ->
                            assertThat(check.passed()).as(check.toString()).isTrue());
        }
    }

    static List<@Nullable Kernels> every_operation_agrees_with_the_reference() {
        List<@Nullable Kernels> sets = new ArrayList<>(Kernels.all());
        sets.add(null);
        return sets;
    }

    @ParameterizedTest
    @MethodSource
    void also_with_narrower_vectors(int bits) throws Exception {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--add-modules=jdk.incubator.vector",
                        "-Xmx512m",
                        "-Dnibble.vector.bits=" + bits,
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        SelfTest.class.getName())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        assertThat(output).contains("checked cpu: Vector API, " + bits + "-bit vectors");
    }

    /** The machine's own width is that of {@link #every_operation_agrees_with_the_reference}. */
    static List<Integer> also_with_narrower_vectors() {
        return Lanes.bits() > 256 ? List.of(128, 256) : List.of(128);
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void a_norm_that_subtracts_the_mean_and_adds_a_bias_is_that_of_pytorch(String device) {
        // torch.nn.functional.layer_norm(x, (4,), gain, bias, 0.5) in fp64
        float[] expected = {-1.5f, -0.5f, 0.25f, 5.5f};
        Norm norm = new Norm(new float[] {1, 2, -1, 3}, new float[] {-0.5f, 0.5f, 0.25f, 1}, true);
        try (Backend backend = Backends.open(device, 1);
                Matrix x = backend.upload(new float[] {1, 2, 3, 6}, 1, 4)) {
            backend.norm(x, norm, 0.5, x);
            assertThat(backend.download(x)).containsExactly(expected, within(1e-6f));
        }
    }

    @Test
    void threads_do_not_change_a_bit() {
        Random random = new Random(5);
        int tokens = 700;
        float[] x = RandomModel.values(random, tokens * 96);
        DenseWeight weight = RandomModel.weight(random, 133, 96);
        int[] next = RandomModel.ids(6, tokens, 133);
        float[][] results = new float[8][];
        for (int threads = 1; threads <= 2; threads++) {
            try (Backend backend = new VectorBackend(threads)) {
                Matrix a = backend.upload(x, tokens, 96);
                Matrix y = backend.allocate(tokens, 133);
                Matrix moment = backend.allocate(96, 96);
                Matrix attended = backend.allocate(tokens, 96);
                backend.linear(weight, a, y);
                backend.addSecondMoment(a, moment);
                backend.attention(new AttentionShape(4, 4, 24), 1, a, 0, a, a, attended);
                results[threads - 1] = backend.download(y);
                results[threads + 1] = backend.download(moment);
                results[threads + 3] = backend.download(attended);
                results[threads + 5] = backend.logProbabilities(weight, LogitRule.NONE, a, next);
            }
        }
        for (int i = 0; i < 8; i += 2) {
            assertThat(results[i]).isEqualTo(results[i + 1]);
        }
    }

    @Test
    void a_NaN_comes_out_of_softmax_and_attention() {
        try (Backend backend = new VectorBackend(1)) {
            float[] x = RandomModel.values(new Random(1), 40 * 32);
            x[0] = Float.NaN;
            Matrix a = backend.upload(x, 40, 32);
            Matrix out = backend.allocate(40, 32);
            backend.attention(new AttentionShape(1, 1, 32), 1, a, 0, a, a, out);
            assertThat(backend.download(out)).containsOnly(Float.NaN);
            DenseWeight head = RandomModel.weight(new Random(2), 50, 32);
            assertThat(backend.logProbabilities(head, LogitRule.NONE, a, new int[40])[0])
                    .isNaN();
        }
    }

    @Test
    void wrong_extents_are_named() {
        try (Backend backend = new VectorBackend(1)) {
            assertThatThrownBy(() -> backend.linear(
                            RandomModel.weight(new Random(1), 4, 8), backend.allocate(2, 7), backend.allocate(2, 4)))
                    .hasMessage("linear random: x is [2, 7], [2, 8] expected");
        }
    }

    @Test
    void a_device_that_is_not_there_is_named() {
        assertThatThrownBy(() -> Backends.open("cuda:99", 2))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("device cuda:99");
        assertThatThrownBy(() -> Backends.open("cuda:x", 2)).hasMessageContaining("a number is expected");
        assertThatThrownBy(() -> Backends.open("tpu", 2)).isInstanceOf(DeviceException.class);
    }

    @Test
    void a_failing_task_fails_the_call_and_the_workers_go_on() {
        try (Workers workers = new Workers(2)) {
            assertThatThrownBy(() -> workers.forEach(100, i -> {
                        if (i == 37) {
                            throw new IllegalStateException("task 37");
                        }
                    }))
                    .hasMessage("task 37");
            int[] done = new int[1000];
            workers.forEach(1000, i -> done[i]++);
            assertThat(done).containsOnly(1);
        }
    }
}
