package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishRequest.Leftovers;
import nibble.hub.PublishRequest.Visibility;
import nibble.hub.PublishResult.Need;
import nibble.hub.client.HubException;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;
import org.junit.jupiter.api.Test;

/** What publishing does and leaves alone where nothing goes wrong, and what it refuses. */
class PublisherRulesTest extends PublisherCase {
    @Test
    void a_branch_of_another_name_holds_nothing_of_main() throws IOException {
        publish();
        Files.delete(folder.resolve("model-00002-of-00002.safetensors"));
        Files.write(folder.resolve("model-00001-of-00002.safetensors"), random(120_000, 5));

        publish(new PublishRequest(
                folder, REPO, "awq-32g", Visibility.PUBLIC, How.COMMIT, Leftovers.KEEP, "group size 32", 4));

        assertComplete("awq-32g");
        assertThat(repository().at("awq-32g").files()).doesNotContainKey("model-00002-of-00002.safetensors");
        assertThat(repository().at("main").files()).containsKey("model-00002-of-00002.safetensors");
    }

    @Test
    void weights_of_an_earlier_version_are_named_and_deleted_only_if_asked() throws IOException {
        publish();
        Files.delete(folder.resolve("model-00002-of-00002.safetensors"));

        assertThat(publish().leftovers()).containsExactly("model-00002-of-00002.safetensors");
        assertThat(repository().at("main").files()).containsKey("model-00002-of-00002.safetensors");

        publish(new PublishRequest(folder, REPO, "main", Visibility.PUBLIC, How.COMMIT, Leftovers.DELETE, "new", 4));
        assertThat(repository().at("main").files())
                .doesNotContainKey("model-00002-of-00002.safetensors")
                .containsKey(".gitattributes");
    }

    @Test
    void a_pull_request_leaves_the_branch_alone() {
        publish();
        String before = repository().branches.get("main");
        write("config.json", "{}");

        PublishResult result = publish(request(How.PULL_REQUEST), TransferListener.SILENT);

        assertThat(repository().branches.get("main")).isEqualTo(before);
        assertThat(repository().pullRequests).hasSize(1);
        assertThat(result.url()).contains("/discussions/1");
    }

    @Test
    void a_lost_answer_to_a_pull_request_is_a_clear_error_and_not_repeated() {
        publish();
        write("config.json", "{}");
        hub.faults.add(Fault.of(Fault.Kind.LOSE_ANSWER, "POST", "/commit/main", 0, 1));
        assertThatThrownBy(() -> publish(request(How.PULL_REQUEST), TransferListener.SILENT))
                .hasMessageContaining("it may exist: look at the discussions");
        assertThat(repository().pullRequests).hasSize(1);
    }

    @Test
    void a_dry_run_changes_nothing() {
        PublishResult result = publish(request(How.DRY_RUN), TransferListener.SILENT);
        assertThat(hub.repositories).isEmpty();
        assertThat(result.created()).isTrue();
        assertThat(result.files()).hasSize(5);
        assertThat(hub.seen()).allMatch(r -> r.method().equals("GET"));

        publish();
        write("config.json", "{}");
        result = publish(request(How.DRY_RUN), TransferListener.SILENT);
        assertThat(result.files().stream().filter(f -> f.need() == Need.IN_COMMIT))
                .hasSize(1);
        assertThat(ownCommits("main")).isEqualTo(1);
    }

    @Test
    void a_private_repository_is_made_private() {
        publish(new PublishRequest(folder, REPO, "main", Visibility.PRIVATE, How.COMMIT, Leftovers.KEEP, "m", 4));
        assertThat(repository().isPrivate).isTrue();
    }

    @Test
    void a_token_that_the_hub_does_not_take_is_not_repeated_in_the_message() {
        HubSettings wrong = settings(Optional.of(HubToken.of("hf_WRONGwrong")), false);
        assertThat(wrong.toString()).doesNotContain("WRONG");
        assertThatThrownBy(() -> new Publisher(wrong, retries()).publish(request(How.COMMIT), TransferListener.SILENT))
                .isInstanceOf(HubException.class)
                .hasMessageContaining("HTTP 401")
                .hasMessageContaining("write access")
                .hasMessageNotContaining("WRONG");
    }

    @Test
    void without_a_token_or_online_nothing_is_tried() {
        assertThatThrownBy(() -> new Publisher(settings(Optional.empty(), false), retries())
                        .publish(request(How.COMMIT), TransferListener.SILENT))
                .hasMessageContaining("HF_TOKEN");
        assertThatThrownBy(() -> new Publisher(settings(Optional.of(HubToken.of("t")), true), retries())
                        .publish(request(How.COMMIT), TransferListener.SILENT))
                .hasMessageContaining("HF_HUB_OFFLINE");
        assertThat(hub.seen()).isEmpty();
    }

    @Test
    void an_owner_that_is_not_yours_is_a_clear_error() {
        assertThatThrownBy(() -> publish(new PublishRequest(
                        folder,
                        RepoName.parse("other/x"),
                        "main",
                        Visibility.PUBLIC,
                        How.COMMIT,
                        Leftovers.KEEP,
                        "m",
                        4)))
                .isInstanceOf(HubException.class)
                .hasMessageContaining("HTTP 403")
                .hasMessageContaining("you are not in other");
    }

    @Test
    void a_redirect_of_an_upload_to_another_host_is_not_followed() {
        hub.faults.add(Fault.status("POST", "/preupload/", 307, 1, Map.of("Location", hub.storeEndpoint() + "/steal")));
        assertThatThrownBy(this::publish).hasMessageContaining("redirected to another host");
        assertThat(hub.seen()).noneMatch(r -> r.path().equals("/steal"));
    }

    @Test
    void a_redirect_of_a_read_to_another_host_goes_without_the_token() {
        hub.faults.add(
                Fault.status("GET", "/api/whoami-v2", 302, 1, Map.of("Location", hub.storeEndpoint() + "/store/x/y")));
        assertThatThrownBy(this::publish).isInstanceOf(HubException.class);
        assertThat(hub.seen().getLast()).satisfies(r -> {
            assertThat(r.host()).isEqualTo("localhost");
            assertThat(r.authorization()).isEqualTo("null");
        });
    }

    @Test
    void a_file_that_changes_while_it_is_sent_is_not_committed() {
        TransferListener changer = new TransferListener() {
            @Override
            public void stage(String what) {
                if (what.startsWith("sending")) {
                    write("config.json", "{\"changed\": true}");
                }
            }

            @Override
            public void bytes(long done, long total) {}
        };
        assertThatThrownBy(() -> publish(request(How.COMMIT), changer))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("changed while");
        assertThat(ownCommits("main")).isZero();
    }
}
