package nibble.checkpoint.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.layer.Rope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The divisors of rope's frequencies against rope_factors.txt: what llama.cpp's convert_hf_to_gguf.py (release of
 * 2026-09-28) wrote as rope_freqs.weight for the bundled model with the rope_theta, factor, low_freq_factor,
 * high_freq_factor and original_max_position_embeddings that a line begins with; the bits of floats, in hexadecimal.
 */
class RopeFactorsTest {
    static List<String> lines() throws IOException {
        try (InputStream in = RopeFactorsTest.class.getResourceAsStream("/rope_factors.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList();
        }
    }

    private record Line(double theta, Rope.Llama3 scaling, float[] divisors) {
        static Line of(String text) {
            String[] words = text.split(" ");
            float[] divisors = new float[words.length - 5];
            for (int i = 0; i < divisors.length; i++) {
                divisors[i] = Float.intBitsToFloat(Integer.parseUnsignedInt(words[5 + i], 16));
            }
            return new Line(
                    Double.parseDouble(words[0]),
                    new Rope.Llama3(
                            Double.parseDouble(words[1]),
                            Double.parseDouble(words[2]),
                            Double.parseDouble(words[3]),
                            Integer.parseInt(words[4])),
                    divisors);
        }
    }

    @ParameterizedTest
    @MethodSource("lines")
    void are_those_of_llama_cpps_converter_to_the_bit(String text) {
        Line line = Line.of(text);
        assertThat(line.divisors).hasSize(32);
        assertThat(RopeFactors.of(line.scaling, line.theta, 64)).containsExactly(line.divisors);
    }

    /** Whatever the parameters were, those that are found make the same divisors. */
    @ParameterizedTest
    @MethodSource("lines")
    void give_parameters_that_make_the_same_divisors(String text) {
        Line line = Line.of(text);
        Rope.Llama3 found = RopeFactors.parameters(line.divisors, line.theta).orElseThrow();
        assertThat(RopeFactors.of(found, line.theta, 64)).containsExactly(line.divisors);
        if (line.scaling.lowFreqFactor() == 1 && line.scaling.highFreqFactor() == 4 && line.theta == 500_000) {
            assertThat(found).isEqualTo(line.scaling);
        }
    }

    @Test
    void other_divisors_have_no_parameters() throws IOException {
        float[] divisors = Line.of(lines().getFirst()).divisors;
        float[] changed = divisors.clone();
        changed[16] *= 1.01f;
        assertThat(RopeFactors.parameters(changed, 500_000)).isEmpty();
        changed[16] = Float.NaN;
        assertThat(RopeFactors.parameters(changed, 500_000)).isEmpty();
        changed[16] = 0.5f;
        assertThat(RopeFactors.parameters(changed, 500_000)).isEmpty();
        assertThat(RopeFactors.parameters(divisors, 10_000))
                .isNotEqualTo(Optional.of(Line.of(lines().getFirst()).scaling));
    }
}
