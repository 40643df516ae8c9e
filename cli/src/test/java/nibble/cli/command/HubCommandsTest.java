package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import nibble.hub.FakeHub;
import org.junit.jupiter.api.Test;

/** Publish, download, and a hub's name in place of a folder, as a person would type them. */
class HubCommandsTest extends HubCase {
    @Test
    void a_published_model_is_downloaded_and_used_by_its_name_then_offline() throws IOException {
        TerminalCapture publish = terminal();
        assertThat(publish.run("publish", MODEL.toString(), "--repo", "me/wiki-7m", "--private"))
                .as(publish.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(publish.out()).contains("new repository", "model-00003-of-00003.safetensors");
        assertThat(publish.err()).contains("chat template").doesNotContain(FakeHub.TOKEN);
        for (String path : RepositoryFiles.list(MODEL).keySet()) {
            assertThat(hub.content("me/wiki-7m", "main", path))
                    .as(path)
                    .isEqualTo(Files.readAllBytes(MODEL.resolve(path)));
        }

        TerminalCapture download = terminal();
        assertThat(download.run("download", "me/wiki-7m")).as(download.err()).isEqualTo(ExitCode.DONE);
        Path folder = Path.of(download.out().strip());
        assertThat(folder.resolve("config.json")).hasSameBinaryContentAs(MODEL.resolve("config.json"));

        TerminalCapture inspect = terminal("HF_HUB_OFFLINE", "1");
        assertThat(inspect.run("inspect", "me/wiki-7m", "--json", "-"))
                .as(inspect.err())
                .isEqualTo(ExitCode.DONE);
        JsonNode found = new ObjectMapper().readTree(inspect.out());
        assertThat(found.get("tensor_bytes").asLong()).isEqualTo(13_638_144);

        TerminalCapture generate = terminal();
        assertThat(generate.run("generate", "me/wiki-7m@main", "--prompt", "The", "--max-new-tokens", "2"))
                .as(generate.err())
                .isEqualTo(ExitCode.DONE);
    }

    @Test
    void a_quantized_model_is_published_with_a_card_whose_figures_were_measured() throws IOException {
        Path out = temp.resolve("awq");
        assertThat(terminal().run("quantize", MODEL.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);
        Path eval = temp.resolve("eval.json");
        assertThat(terminal()
                        .run(
                                "eval",
                                "perplexity",
                                out.toString(),
                                "--context",
                                "256",
                                "--windows",
                                "2",
                                "--json",
                                eval.toString()))
                .isEqualTo(ExitCode.DONE);
        String measured = String.format(
                java.util.Locale.ROOT,
                "%.4f",
                new ObjectMapper().readTree(eval.toFile()).get("perplexity").asDouble());

        TerminalCapture publish = terminal();
        assertThat(publish.run(
                        "publish",
                        out.toString(),
                        "--repo",
                        "org/wiki-7m-AWQ",
                        "--branch",
                        "awq-128g",
                        "--base-model",
                        "org/wiki-7m",
                        "--license",
                        "cc-by-sa-4.0",
                        "--eval",
                        eval.toString(),
                        "--prompt-template",
                        "chatml"))
                .as(publish.err())
                .isEqualTo(ExitCode.DONE);

        String card = new String(
                hub.content("org/wiki-7m-AWQ", "awq-128g", "README.md"), java.nio.charset.StandardCharsets.UTF_8);
        assertThat(card)
                .contains(
                        "license: \"cc-by-sa-4.0\"",
                        "| not measured | " + measured + " |",
                        "<|im_start|>user\n{prompt}<|im_end|>")
                .contains("--revision awq-128g", "| awq-128g | awq (gemm) | 4 | 128 | none |");

        TerminalCapture again = terminal();
        assertThat(again.run("card", out.toString(), "--repo", "org/wiki-7m-AWQ"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(again.err()).contains("--force");
        TerminalCapture missing = terminal();
        assertThat(missing.run("card", out.toString(), "--repo", "o/n", "--print", "--eval", "nothing.json"))
                .isEqualTo(ExitCode.BAD_INPUT);
    }

    @Test
    void a_card_that_cannot_be_written_is_said_before_the_folder_is_verified() throws IOException {
        Path out = temp.resolve("awq");
        assertThat(terminal().run("quantize", MODEL.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);
        Files.createDirectory(out.resolve("README.md"));
        TerminalCapture publish = terminal();
        assertThat(publish.run("publish", out.toString(), "--repo", "me/wiki-7m-AWQ"))
                .as(publish.err())
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(publish.err())
                .contains("the model card " + out.resolve("README.md") + ": cannot be written: ")
                .doesNotContain("verifying");
    }

    @Test
    void a_dry_run_sends_nothing() {
        TerminalCapture dry = terminal();
        assertThat(dry.run("publish", MODEL.toString(), "--repo", "me/wiki-7m", "--dry-run"))
                .isEqualTo(ExitCode.DONE);
        assertThat(dry.out()).contains("would be", "dry run: nothing was sent");
        assertThat(hub.seen()).allMatch(request -> request.method().equals("GET"));
        assertThat(hub.seen()).isNotEmpty();
    }

    @Test
    void a_dry_run_without_a_token_or_offline_lists_what_would_go_with_the_card() throws IOException {
        Path out = temp.resolve("awq");
        assertThat(terminal().run("quantize", MODEL.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);
        for (String[] environment :
                new String[][] {{"HF_TOKEN", ""}, {"HF_HUB_OFFLINE", "1"}, {"TRANSFORMERS_OFFLINE", "1"}}) {
            TerminalCapture dry = terminal(environment);
            assertThat(dry.run("publish", out.toString(), "--repo", "me/wiki-7m-AWQ", "--dry-run"))
                    .as(dry.err())
                    .isEqualTo(ExitCode.DONE);
            assertThat(dry.out()).contains("would be", "model.safetensors", "README.md", "dry run: nothing was sent");
            assertThat(dry.err()).contains("the hub was not asked which files it holds and accepts");
        }
        assertThat(out.resolve("README.md")).doesNotExist();
        assertThat(hub.seen()).isEmpty();
    }

    @Test
    void a_branch_and_a_file_are_part_of_a_models_name_everywhere() throws IOException {
        assertThat(terminal().run("publish", MODEL.toString(), "--repo", "me/wiki-7m", "--branch", "v2"))
                .isEqualTo(ExitCode.DONE);
        TerminalCapture download = terminal();
        assertThat(download.run("download", "me/wiki-7m@v2", "--json", "-"))
                .as(download.err())
                .isEqualTo(ExitCode.DONE);
        JsonNode report = new ObjectMapper().readTree(download.out());
        assertThat(report.get("repo").asText()).isEqualTo("me/wiki-7m");
        assertThat(report.get("revision").asText()).isEqualTo("v2");
        assertThat(report.get("files").asInt()).isEqualTo(11);
        TerminalCapture again = terminal("TRANSFORMERS_OFFLINE", "1");
        assertThat(again.run("download", "me/wiki-7m@v2")).as(again.err()).isEqualTo(ExitCode.DONE);
        assertThat(again.out().strip()).isEqualTo(report.get("folder").asText());
        assertThat(terminal().run("verify", "me/wiki-7m@v2")).isEqualTo(ExitCode.DONE);
        assertThat(terminal().run("download", "me/wiki-7m@v2", "--branch", "main"))
                .isEqualTo(ExitCode.WRONG_USAGE);

        TerminalCapture shard = terminal();
        assertThat(shard.run("inspect", "me/wiki-7m@v2:model-00002-of-00003.safetensors"))
                .as(shard.err())
                .isEqualTo(ExitCode.DONE);
    }

    @Test
    void of_several_gguf_models_one_is_named_and_used() throws IOException {
        Path out = temp.resolve("gguf");
        TerminalCapture convert = terminal();
        assertThat(convert.run("convert", MODEL.toString(), out.toString(), "--to", "gguf", "--type", "Q8_0"))
                .as(convert.err())
                .isEqualTo(ExitCode.DONE);
        byte[] gguf;
        try (java.util.stream.Stream<Path> files = Files.walk(out)) {
            gguf = Files.readAllBytes(files.filter(file -> file.toString().endsWith(".gguf"))
                    .findFirst()
                    .orElseThrow());
        }
        hub.put("me/ggufs", Map.of("m-Q8_0.gguf", gguf, "m-Q4_1.gguf", new byte[] {'G', 'G', 'U', 'F', 0}));
        TerminalCapture which = terminal();
        assertThat(which.run("generate", "me/ggufs", "--prompt", "The")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(which.err())
                .contains("me/ggufs: holds 2 GGUF models; say which: me/ggufs:m-Q4_1.gguf (0.00 GB),"
                        + " me/ggufs:m-Q8_0.gguf (0.01 GB)");
        TerminalCapture one = terminal();
        assertThat(one.run("generate", "me/ggufs:Q8_0", "--prompt", "The", "--max-new-tokens", "2"))
                .as(one.err())
                .isEqualTo(ExitCode.DONE);
    }

    @Test
    void the_card_of_a_folder_of_several_gguf_models_lists_each() throws IOException {
        Path folder = Files.createDirectory(temp.resolve("several"));
        for (String type : List.of("Q8_0", "Q4_0")) {
            Path out = temp.resolve(type);
            TerminalCapture convert = terminal();
            assertThat(convert.run("convert", MODEL.toString(), out.toString(), "--format", "gguf", "--type", type))
                    .as(convert.err())
                    .isEqualTo(ExitCode.DONE);
            Files.move(out.resolve("wiki-7m-" + type + ".gguf"), folder.resolve("wiki-7m-" + type + ".gguf"));
        }
        TerminalCapture card = terminal();

        assertThat(card.run("card", folder.toString(), "--repo", "me/wiki-7m-GGUF", "--print"))
                .as(card.err())
                .isEqualTo(ExitCode.DONE);

        assertThat(card.out()).contains("wiki-7m-Q8_0.gguf", "wiki-7m-Q4_0.gguf", "library_name: gguf");
    }

    @Test
    void mistrals_second_copy_of_the_weights_is_neither_brought_nor_an_error() throws IOException {
        Map<String, byte[]> files = new java.util.HashMap<>();
        for (Map.Entry<String, Path> file : RepositoryFiles.list(MODEL).entrySet()) {
            files.put(file.getKey(), Files.readAllBytes(file.getValue()));
        }
        byte[] shard = files.get("model-00003-of-00003.safetensors");
        files.put("consolidated.safetensors", shard);
        hub.put("me/mistral", files);
        TerminalCapture download = terminal();
        assertThat(download.run("download", "me/mistral")).as(download.err()).isEqualTo(ExitCode.DONE);
        Path folder = Path.of(download.out().strip());
        assertThat(folder.resolve("consolidated.safetensors")).doesNotExist();

        TerminalCapture all = terminal();
        assertThat(all.run("download", "me/mistral", "--all")).isEqualTo(ExitCode.DONE);
        assertThat(folder.resolve("consolidated.safetensors")).exists();
        TerminalCapture verify = terminal();
        assertThat(verify.run("verify", "me/mistral")).as(verify.out()).isEqualTo(ExitCode.DONE);
        assertThat(verify.out())
                .contains("warning [shards]", "consolidated.safetensors: is a second copy of the weights");
        assertThat(terminal()
                        .run("quantize", folder.toString(), temp.resolve("q").toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);
        assertThat(temp.resolve("q/consolidated.safetensors")).doesNotExist();
    }

    @Test
    void nothing_to_change_is_said() {
        assertThat(terminal().run("publish", MODEL.toString(), "--repo", "me/wiki-7m"))
                .isEqualTo(ExitCode.DONE);
        TerminalCapture again = terminal();
        assertThat(again.run("publish", MODEL.toString(), "--repo", "me/wiki-7m"))
                .isEqualTo(ExitCode.DONE);
        assertThat(again.out()).contains("nothing to change: me/wiki-7m holds these files already, no commit was made");
        TerminalCapture pullRequest = terminal();
        assertThat(pullRequest.run("publish", MODEL.toString(), "--repo", "me/wiki-7m", "--pull-request"))
                .isEqualTo(ExitCode.DONE);
        assertThat(pullRequest.out())
                .contains("nothing to change: me/wiki-7m holds these files already, no pull request was opened");
    }

    @Test
    void a_mistyped_folder_is_said_at_once() {
        String gone = hub.endpoint();
        hub.close();
        TerminalCapture mistyped = terminal("HF_ENDPOINT", gone);
        assertThat(mistyped.run("inspect", "models/wiki-7n")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(mistyped.err())
                .contains(
                        "models/wiki-7n: no such folder",
                        "and no repository of that name can be had",
                        "connection refused");
        assertThat(mistyped.err()).doesNotContain("next try in");
    }

    @Test
    void a_folder_with_errors_is_not_published() throws IOException {
        Path broken = Files.createDirectory(temp.resolve("broken"));
        Files.copy(MODEL.resolve("config.json"), broken.resolve("config.json"));
        TerminalCapture publish = terminal();
        assertThat(publish.run("publish", broken.toString(), "--repo", "me/x")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(publish.err()).contains("error [", "nothing was sent");
        // Who publishes is asked first: nothing is verified in vain.
        assertThat(hub.seen()).allMatch(request -> request.method().equals("GET"));
        assertThat(hub.repositories()).isEmpty();
    }

    @Test
    void what_the_hub_refuses_is_exit_code_5() {
        TerminalCapture wrong = terminal("HF_TOKEN", "hf_WRONG");
        assertThat(wrong.run("publish", MODEL.toString(), "--repo", "me/x")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(wrong.err()).contains("HTTP 401").doesNotContain("WRONG", "\tat ");
        TerminalCapture none = terminal();
        assertThat(none.run("inspect", "me/nothing")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(none.err()).contains("me/nothing: no such folder, and no such repository");
        TerminalCapture offline = terminal("HF_HUB_OFFLINE", "1");
        assertThat(offline.run("plan", "me/nothing")).isEqualTo(ExitCode.NETWORK_OR_HUB);
    }

    @Test
    void what_cannot_be_published_is_said_before_the_folder_is_verified() throws IOException {
        Path large = Files.createDirectory(temp.resolve("large"));
        Files.copy(MODEL.resolve("config.json"), large.resolve("config.json"));
        try (java.io.RandomAccessFile file =
                new java.io.RandomAccessFile(large.resolve("model.gguf").toFile(), "rw")) {
            // Sparse: it takes no space.
            file.setLength(50_000_000_001L);
        }
        TerminalCapture size = terminal();
        assertThat(size.run("publish", large.toString(), "--repo", "me/x")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(size.err())
                .contains("the hub takes files of at most 50000000000")
                .doesNotContain("verifying");
        TerminalCapture nobody = terminal("HF_TOKEN", "");
        assertThat(nobody.run("publish", MODEL.toString(), "--repo", "me/x")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(nobody.err()).contains("publishing needs a token").doesNotContain("verifying");
        hub.put("me/open", Map.of());
        TerminalCapture open = terminal();
        assertThat(open.run("publish", MODEL.toString(), "--repo", "me/open", "--private"))
                .isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(open.err()).contains("exists and is public").doesNotContain("verifying");
        TerminalCapture offline = terminal("HF_HUB_OFFLINE", "1");
        assertThat(offline.run("publish", MODEL.toString(), "--repo", "me/x")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(offline.err()).contains("OFFLINE is set").doesNotContain("verifying");
    }

    @Test
    void names_that_are_none_are_wrong_usage() {
        assertThat(terminal().run("publish", MODEL.toString(), "--repo", "a/b/c"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal().run("publish", MODEL.toString(), "--repo", "a/b", "--branch", "../x"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal().run("download", "name")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(hub.seen()).isEmpty();
    }
}
