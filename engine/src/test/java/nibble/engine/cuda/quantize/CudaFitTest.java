package nibble.engine.cuda.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.cuda.CudaBackend;
import nibble.engine.cuda.group.CudaGroup;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Method best on a card; skipped, with the reason, where there is none. {@link nibble.engine.selftest.SelfTest}
 * compares fits with the host's.
 */
@Tag("gpu")
class CudaFitTest {
    private final Random random = new Random(5);

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    private PairedMoments moments(CudaBackend backend, int n, int residual) {
        PairedMoments moments = backend.pairedMoments(n, residual);
        for (int half = 0; half < 2; half++) {
            int tokens = 2 * n;
            float[] x = CudaQuantizerTest.inputs(random, tokens, n);
            int rows = residual > 0 ? residual : n;
            float[] lack = CudaQuantizerTest.halves(random, tokens * rows, 0.02);
            try (Matrix inputs = backend.upload(x, tokens, n);
                    Matrix lacks = backend.upload(lack, tokens, rows)) {
                moments.add(inputs, lacks, half);
            }
        }
        return moments;
    }

    private static LayerFeed feed(CudaBackend backend, DenseWeight weight) {
        DenseWeight other = DenseWeight.of("other", new float[64], 8, 8);
        DecoderLayer layer =
                new DecoderLayer(new float[8], weight, weight, weight, other, new float[8], other, other, other);
        return backend.feed(_ -> layer, 1);
    }

    /** The second fit uses memory that the first gave back, full of what it left there. */
    @ParameterizedTest
    @CsvSource({
        "4104, 160, 32, 0, false",
        "40, 576, 64, 40, false",
        "24, 352, -1, 0, false",
        "40, 576, 64, 40, true",
        "24, 352, -1, 0, true"
    })
    void a_fit_has_the_same_bytes_again(int out, int n, int group, int residual, boolean symmetric) {
        QuantizationSpec spec = new QuantizationSpec(4, group, symmetric);
        DenseWeight weight = DenseWeight.of("w", CudaQuantizerTest.halves(random, out * n, 0.02), out, n);
        try (CudaBackend backend = CudaQuantizerTest.open();
                LayerFeed feed = feed(backend, weight);
                LinearQuantizer quantizer = backend.quantizer(feed.layer(0).q(), weight, CudaQuantizerTest.FILE, spec);
                PairedMoments moments = moments(backend, n, residual)) {
            Fitted first = quantizer.fit(Basis.ORIGINAL, moments, FitSteps.ALL);
            Fitted second = quantizer.fit(Basis.ORIGINAL, moments, FitSteps.ALL);
            assertThat(second.linear().codes()).isEqualTo(first.linear().codes());
            assertThat(second.linear().scales()).isEqualTo(first.linear().scales());
            assertThat(second.linear().zeros()).isEqualTo(first.linear().zeros());
            assertThat(second.loss()).isEqualTo(first.loss());
            assertThat(first.loss()).isFinite().isLessThan(first.roundedLoss());
            if (symmetric) {
                assertThat(first.linear().zeros()).containsOnly(8);
            }
        }
    }

    /** The second shape has rows for one card only. */
    @ParameterizedTest
    @CsvSource({"8200, 96, 32, 0", "16, 160, 32, 0", "4104, 128, -1, 4104"})
    void two_cards_come_to_the_bits_of_one(int out, int n, int group, int residual) {
        try (CudaGroup cards = CudaQuantizerTest.twoCards()) {
            DenseWeight weight = DenseWeight.of("w", CudaQuantizerTest.halves(random, out * n, 0.02), out, n);
            QuantizationSpec spec = new QuantizationSpec(4, group);
            Fitted one = fitted(QuantizationDevices.of(cards.member(0)), weight, spec, residual);
            Fitted two = fitted(cards, weight, spec, residual);
            assertThat(one.share()).isPositive();
            assertThat(two.linear().codes()).isEqualTo(one.linear().codes());
            assertThat(two.linear().scales()).isEqualTo(one.linear().scales());
            assertThat(two.linear().zeros()).isEqualTo(one.linear().zeros());
            assertThat(two).usingRecursiveComparison().ignoringFields("linear").isEqualTo(one);
        }
    }

    /** Four parts of tokens, on the devices in turn; every other one is of the second half. */
    private static Fitted fitted(QuantizationDevices devices, DenseWeight weight, QuantizationSpec spec, int residual) {
        Random random = new Random(9);
        int n = weight.inFeatures();
        int rows = residual > 0 ? residual : n;
        List<LayerFeed> feeds = new ArrayList<>();
        List<Weight> placed = new ArrayList<>();
        for (Backend member : devices.members()) {
            member.makeCurrent();
            feeds.add(feed((CudaBackend) member, weight));
            placed.add(feeds.getLast().layer(0).q());
        }
        try (PairedMoments moments = devices.pairedMoments(n, residual);
                LinearQuantizer quantizer = devices.quantizer(placed, weight, CudaQuantizerTest.FILE, spec)) {
            for (int part = 0; part < 4; part++) {
                Backend member = devices.members().get(part % devices.members().size());
                member.makeCurrent();
                float[] x = CudaQuantizerTest.inputs(random, n, n);
                float[] lack = new float[n * rows];
                for (int i = 0; i < lack.length; i++) {
                    lack[i] = 0.1f * x[i / rows * n + i % rows % n];
                }
                try (Matrix inputs = member.upload(x, n, n);
                        Matrix lacks = member.upload(lack, n, rows)) {
                    moments.add(inputs, lacks, part % 2);
                }
                moments.endPart();
            }
            return quantizer.fit(Basis.ORIGINAL, moments, FitSteps.ALL);
        } finally {
            devices.synchronize();
            for (int i = 0; i < feeds.size(); i++) {
                devices.members().get(i).makeCurrent();
                feeds.get(i).close();
            }
            devices.members().getFirst().makeCurrent();
        }
    }

    @Test
    void a_scale_that_does_not_fit_is_named_as_on_the_host() {
        int n = 64;
        float[] values = CudaQuantizerTest.halves(random, 8 * n, 0.02);
        values[3 * n + 5] = 60000;
        DenseWeight weight = DenseWeight.of("w", values, 8, n);
        float[] columns = new float[n];
        Arrays.fill(columns, 1f);
        columns[5] = 1e5f;
        try (CudaBackend backend = CudaQuantizerTest.open();
                LayerFeed feed = feed(backend, weight);
                LinearQuantizer quantizer = backend.quantizer(
                        feed.layer(0).q(), weight, CudaQuantizerTest.FILE, new QuantizationSpec(4, 32));
                PairedMoments moments = moments(backend, n, 0)) {
            assertThatThrownBy(() -> quantizer.fit(Basis.ofColumns(columns), moments, FitSteps.ALL))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining("[3, 0…31]");
        }
    }

    @Test
    void linears_of_one_input_must_be_fitted_in_one_basis() {
        int n = 64;
        DenseWeight weight = DenseWeight.of("w", CudaQuantizerTest.halves(random, 8 * n, 0.02), 8, n);
        float[] columns = new float[n];
        Arrays.fill(columns, 2f);
        try (CudaBackend backend = CudaQuantizerTest.open();
                LayerFeed feed = feed(backend, weight);
                LinearQuantizer quantizer = backend.quantizer(
                        feed.layer(0).q(), weight, CudaQuantizerTest.FILE, new QuantizationSpec(4, 32));
                PairedMoments moments = moments(backend, n, 0)) {
            quantizer.fit(Basis.ORIGINAL, moments, FitSteps.ALL);
            assertThatThrownBy(() -> quantizer.fit(Basis.ofColumns(columns), moments, FitSteps.ALL))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("one basis");
        }
    }
}
