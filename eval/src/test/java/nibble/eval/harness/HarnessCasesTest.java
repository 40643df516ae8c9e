package nibble.eval.harness;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Tasks made for the test, whose requests, values and figures lm-eval 0.4.13 recorded
 * ({@code eval/fixtures/harness_cases.py}).
 */
class HarnessCasesTest {
    private static List<HarnessCase> cases(String file) throws IOException {
        try (InputStream in = HarnessCasesTest.class.getResourceAsStream("cases/" + file + ".json")) {
            List<HarnessCase> cases = new ArrayList<>();
            new ObjectMapper().readTree(Objects.requireNonNull(in)).forEach(one -> cases.add(new HarnessCase(one)));
            return cases;
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"chat", "metrics", "functions", "ifeval", "examples", "math", "questions", "minerva"})
    void requests_values_and_figures_are_those_of_the_harness(String file) throws IOException {
        List<String> differences = new ArrayList<>();
        for (HarnessCase one : cases(file)) {
            for (String difference : one.differences(one.task(), true)) {
                differences.add(one + ": " + difference);
            }
        }
        assertThat(cases(file)).isNotEmpty();
        assertThat(differences).isEmpty();
    }
}
