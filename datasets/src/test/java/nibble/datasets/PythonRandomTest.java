package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Expected numbers are CPython 3.11's. */
class PythonRandomTest {
    @Test
    void bits_are_those_of_CPython() {
        assertThat(bits(42)).containsExactly(2746317213L, 478163327L, 107420369L);
        assertThat(bits(1234)).containsExactly(4150886329L, 3342196574L, 1892932127L);
        // random.Random(2**40 + 7), a seed of two words; and the absolute value of a negative one.
        assertThat(bits((1L << 40) + 7)).containsExactly(2635837658L, 3209733218L, 3500038837L);
        assertThat(bits(-42)).isEqualTo(bits(42));
    }

    private static List<Long> bits(long seed) {
        PythonRandom random = new PythonRandom(seed);
        return List.of(random.bits(32), random.bits(32), random.bits(32));
    }

    /** More than one block of 624 words. */
    @Test
    void the_thousandth_number_is_that_of_CPython() {
        PythonRandom random = new PythonRandom(42);
        for (int i = 0; i < 999; i++) {
            random.real();
        }
        assertThat(random.real()).isEqualTo(0.8554501933059546);
        assertThat(new PythonRandom(42).real()).isEqualTo(0.6394267984578837);
    }

    @Test
    void a_shuffle_and_the_samples_after_it_are_those_of_CPython() {
        PythonRandom random = new PythonRandom(42);
        List<Integer> documents = numbers(1172);
        random.shuffle(documents);
        assertThat(documents.subList(0, 5)).containsExactly(595, 716, 511, 906, 148);
        List<Integer> train = numbers(1119);
        assertThat(random.sample(train, 25))
                .containsExactly(
                        888, 201, 205, 908, 340, 613, 59, 94, 664, 114, 600, 734, 767, 882, 298, 500, 1087, 843, 368,
                        348, 358, 161, 783, 493, 1019);
        assertThat(random.sample(train, 25)).startsWith(293, 475, 944);
    }

    @Test
    void a_sample_of_few_items_is_drawn_from_a_copy_as_CPython_does() {
        // random.Random(42).sample(range(10), 4), .sample(range(21), 5), .sample(range(85), 6)
        PythonRandom random = new PythonRandom(42);
        assertThat(random.sample(numbers(10), 4)).containsExactly(1, 0, 4, 9);
        assertThat(random.sample(numbers(21), 5)).containsExactly(7, 4, 3, 17, 2);
        assertThat(random.sample(numbers(85), 6)).containsExactly(75, 54, 4, 3, 11, 27);
        assertThat(random.sample(numbers(86), 6)).containsExactly(29, 64, 77, 3, 71, 25);
        assertThat(random.choice(numbers(1000))).isEqualTo(733);
    }

    @Test
    void what_cannot_be_drawn_is_refused() {
        PythonRandom random = new PythonRandom(1);
        assertThatThrownBy(() -> random.sample(numbers(3), 4)).hasMessage("a sample of 4 out of 3");
        assertThatThrownBy(() -> random.below(0)).hasMessageContaining("a number below 0");
    }

    private static List<Integer> numbers(int n) {
        return new ArrayList<>(IntStream.range(0, n).boxed().toList());
    }
}
