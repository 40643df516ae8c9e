package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class Wikitext2Test {
    @Test
    void parts_have_their_published_sizes() {
        assertThat(Wikitext2.test().getBytes(StandardCharsets.UTF_8)).hasSize(1_290_590);
        assertThat(Wikitext2.validation().getBytes(StandardCharsets.UTF_8)).hasSize(1_146_846);
        assertThat(Wikitext2.trainExcerpt().getBytes(StandardCharsets.UTF_8)).hasSize(1_000_000);
    }

    @Test
    void rows_are_lines_with_their_newline_and_blank_lines_are_empty_rows() {
        assertThat(Wikitext2.joined(" \n = A = \n \n b\n")).isEqualTo("\n\n = A = \n\n\n\n\n b\n");
        assertThat(Wikitext2.joined("a\nb")).isEqualTo("a\n\n\nb");
        assertThat(Wikitext2.joined("")).isEmpty();
    }

    @Test
    void the_test_dataset_names_the_raw_files_hash_and_its_form() {
        TextDataset dataset = TextDataset.wikitext2Test();
        assertThat(dataset.sha256()).startsWith("173c87a5");
        assertThat(dataset.form()).isEqualTo("rows_joined");
        assertThat(dataset.text()).startsWith("\n\n = Robert Boulter = \n\n\n\n\n Robert Boulter is");
    }

    @Test
    void a_file_dataset_is_taken_as_it_is() {
        Path file = TestFolders.wikiTokenizer().resolve("tokenizer_config.json");
        TextDataset dataset = TextDataset.file(file);
        assertThat(dataset.form()).isEqualTo("as_is");
        assertThat(dataset.name()).isEqualTo(file.toString());
        assertThat(dataset.text()).startsWith("{");
    }
}
