package nibble.hub.client;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * Says where the hub is, who asks, and where its files are kept.
 *
 * @param endpoint base address without a trailing slash
 * @param cache folder of downloaded repositories, shared with the hub's other tools
 * @param state folder of unfinished uploads' journals
 * @param token who asks, if anyone in particular
 * @param offline whether the network must not be used
 * @param surroundings what else the environment says
 */
public record HubSettings(
        URI endpoint, Path cache, Path state, Optional<HubToken> token, boolean offline, Surroundings surroundings) {
    static final String DEFAULT_ENDPOINT = "https://huggingface.co";

    /**
     * Says how the network is reached and files are kept.
     *
     * @param proxies what stands between
     * @param login where the token was read, if it was a file: it may be one that expires
     * @param links whether snapshots may hold symbolic links
     */
    public record Surroundings(HubProxies proxies, Optional<HubLogin> login, boolean links) {
        static final Surroundings PLAIN = new Surroundings(HubProxies.NONE, Optional.empty(), true);
    }

    private static final int MOST_PORT = 65_535;

    /** Values of a switch that mean on, as the hub's tools read them. */
    private static final List<String> ON = List.of("1", "on", "yes", "true");

    public HubSettings {
        boolean http = List.of("http", "https").contains(endpoint.getScheme());
        if (endpoint.getHost() == null || !http || endpoint.getPort() > MOST_PORT) {
            throw new IllegalArgumentException(
                    "hub endpoint \"" + endpoint + "\" is not an http or https address; correct HF_ENDPOINT");
        }
    }

    /** Makes settings without proxies, logins that expire, or other surroundings. */
    public HubSettings(URI endpoint, Path cache, Path state, Optional<HubToken> token, boolean offline) {
        this(endpoint, cache, state, token, offline, Surroundings.PLAIN);
    }

    /**
     * Returns the settings that the hub's own tools would use: {@code HF_ENDPOINT}, {@code HF_HOME}, {@code
     * XDG_CACHE_HOME},
     * {@code HF_HUB_CACHE}, {@code HF_HUB_OFFLINE} or {@code TRANSFORMERS_OFFLINE}, {@code HF_HUB_DISABLE_SYMLINKS},
     * the proxies' variables, and the token from, in this order, the flag, {@code HF_TOKEN}, {@code
     * HUGGING_FACE_HUB_TOKEN}, the file that {@code HF_TOKEN_PATH} names, the file {@code token} in the home. {@code
     * HF_HUB_DISABLE_IMPLICIT_TOKEN} leaves only the flag.
     *
     * @param environment environment variables
     * @param userHome the user's folder
     * @param flag a token given on the command line
     * @throws IllegalArgumentException if the endpoint or the token is malformed or the token's file cannot be read
     */
    public static HubSettings fromEnvironment(Map<String, String> environment, Path userHome, Optional<String> flag) {
        Variables variables = new Variables(environment);
        HubProxies proxies = HubProxies.of(environment);
        Path xdg = variables.path("XDG_CACHE_HOME", userHome.resolve(".cache"), userHome);
        Path home = variables.path("HF_HOME", xdg.resolve("huggingface"), userHome);
        Path cache = variables.path(
                "HF_HUB_CACHE", variables.path("HUGGINGFACE_HUB_CACHE", home.resolve("hub"), userHome), userHome);
        Path tokenFile = variables.path("HF_TOKEN_PATH", home.resolve("token"), userHome);
        Optional<HubToken> given = flag.map(HubToken::of).or(() -> variables.token());
        Optional<HubToken> token =
                given.or(() -> variables.on("HF_HUB_DISABLE_IMPLICIT_TOKEN") ? Optional.empty() : filed(tokenFile));
        Optional<HubLogin> login = given.isEmpty() && token.isPresent()
                ? Optional.of(new HubLogin(
                        tokenFile,
                        variables.value("HF_DEVICE_CODE_OAUTH_CLIENT_ID").orElse(HubLogin.CLIENT_ID)))
                : Optional.empty();
        return new HubSettings(
                endpoint(variables.value("HF_ENDPOINT").orElse(DEFAULT_ENDPOINT)),
                cache,
                home.resolve("nibble").resolve("uploads"),
                token,
                variables.value("HF_HUB_OFFLINE").isPresent()
                        ? variables.on("HF_HUB_OFFLINE")
                        : variables.on("TRANSFORMERS_OFFLINE"),
                new Surroundings(proxies, login, !variables.on("HF_HUB_DISABLE_SYMLINKS")));
    }

    private static URI endpoint(String text) {
        try {
            return new URI(text.replaceAll("/+$", ""));
        } catch (URISyntaxException e) {
            throw new IllegalArgumentException(
                    "hub endpoint \"" + text + "\" is not an address; correct HF_ENDPOINT", e);
        }
    }

    private static Optional<HubToken> filed(Path file) {
        try {
            String text = Files.isRegularFile(file) ? Files.readString(file).strip() : "";
            return text.isEmpty() ? Optional.empty() : Optional.of(HubToken.of(text));
        } catch (IOException e) {
            throw new IllegalArgumentException(file + ": the hub token cannot be read: " + Reasons.of(e), e);
        }
    }

    /** Returns these settings with another endpoint. */
    public HubSettings withEndpoint(String address) {
        return new HubSettings(endpoint(address), cache, state, token, offline, surroundings);
    }

    private record Variables(Map<String, String> environment) {
        private static final Pattern REFERENCE = Pattern.compile("\\$(\\w+|\\{\\w+})");

        Optional<String> value(String name) {
            @Nullable String value = environment.get(name);
            return value == null || value.isBlank() ? Optional.empty() : Optional.of(value.strip());
        }

        Optional<HubToken> token() {
            Optional<String> value = value("HF_TOKEN").or(() -> value("HUGGING_FACE_HUB_TOKEN"));
            return on("HF_HUB_DISABLE_IMPLICIT_TOKEN") ? Optional.empty() : value.map(HubToken::of);
        }

        boolean on(String name) {
            return value(name).map(v -> ON.contains(v.toLowerCase(Locale.ROOT))).orElse(false);
        }

        /** With {@code $NAME} and {@code ${NAME}} replaced by what they name, as far as they name something. */
        private String expanded(String text) {
            return REFERENCE
                    .matcher(text)
                    .replaceAll(found -> Matcher.quoteReplacement(
                            environment.getOrDefault(found.group(1).replaceAll("[{}]", ""), found.group())));
        }

        Path path(String name, Path otherwise, Path userHome) {
            return value(name)
                    .map(this::expanded)
                    .map(v -> v.equals("~") || v.startsWith("~/")
                            ? userHome.resolve(v.substring(Math.min(2, v.length())))
                            : Path.of(v))
                    .orElse(otherwise);
        }
    }
}
