package nibble.hub.client;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Says which proxy a request takes: {@code HTTP_PROXY} and {@code HTTPS_PROXY} by the address's scheme, {@code
 * ALL_PROXY} for what these leave open, and none for hosts that {@code NO_PROXY} names. A name in lower case goes
 * before one in upper case, and an empty value means none.
 *
 * @param proxies address of the proxy by the scheme it serves, {@code all} for any
 * @param exceptions entries of {@code NO_PROXY}, in lower case: {@code *}, a host with its subdomains, {@code
 *     .domain} for subdomains only, an IP address, a range of them as {@code 10.0.0.0/8}; each with a port or
 *     without; after a scheme, as {@code http://host}, that host alone
 */
public record HubProxies(Map<String, URI> proxies, List<String> exceptions) {
    public static final HubProxies NONE = new HubProxies(Map.of(), List.of());

    private static final Pattern ADDRESS = Pattern.compile("[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*");

    static {
        // Java withholds passwords from proxies of https addresses, which then refuse; what the user wrote is the
        // user's wish. Java's client reads this once, so it is set before any proxy is known.
        if (System.getProperty("jdk.http.auth.tunneling.disabledSchemes") == null) {
            System.setProperty("jdk.http.auth.tunneling.disabledSchemes", "");
        }
    }

    public HubProxies {
        proxies = Map.copyOf(proxies);
        exceptions = List.copyOf(exceptions);
    }

    /** @throws IllegalArgumentException if a variable does not hold a usable address */
    static HubProxies of(Map<String, String> environment) {
        Map<String, URI> found = new LinkedHashMap<>();
        for (String scheme : List.of("http", "https", "all")) {
            String name = scheme + "_proxy";
            String value = value(environment, name);
            if (!value.isEmpty()) {
                found.put(scheme, address(environment.containsKey(name) ? name : name.toUpperCase(Locale.ROOT), value));
            }
        }
        List<String> exceptions = new ArrayList<>();
        for (String entry :
                value(environment, "no_proxy").toLowerCase(Locale.ROOT).split(",", -1)) {
            if (!entry.isBlank()) {
                exceptions.add(entry.strip());
            }
        }
        return new HubProxies(found, exceptions);
    }

    private static String value(Map<String, String> environment, String name) {
        @Nullable String lower = environment.get(name);
        @Nullable String any = lower != null ? lower : environment.get(name.toUpperCase(Locale.ROOT));
        return any == null ? "" : any.strip();
    }

    private static URI address(String name, String value) {
        try {
            URI uri = new URI(value.contains("://") ? value : "http://" + value);
            if (uri.getHost() == null || uri.getPort() > 65_535) {
                throw new IllegalArgumentException(name + " is not a proxy's address; write it as http://HOST:PORT");
            }
            if (!"http".equalsIgnoreCase(uri.getScheme())) {
                throw new IllegalArgumentException(name + " asks for a proxy of the kind " + uri.getScheme()
                        + "://; only http:// is supported (it serves https addresses too), set it to one or unset it");
            }
            return uri;
        } catch (URISyntaxException e) {
            // The text may hold a password, so it is not shown.
            throw new IllegalArgumentException(name
                    + " is not a proxy's address; write it as http://HOST:PORT, special characters of a"
                    + " password as %XX");
        }
    }

    /** The proxy for an address, if any. */
    Optional<URI> proxy(URI target) {
        String host = bare(String.valueOf(target.getHost()));
        String scheme = String.valueOf(target.getScheme()).toLowerCase(Locale.ROOT);
        int port = target.getPort() >= 0 ? target.getPort() : scheme.equals("https") ? 443 : 80;
        if (exceptions.stream().anyMatch(entry -> excepted(entry, scheme, host, port))) {
            return Optional.empty();
        }
        @Nullable URI own = proxies.get(scheme);
        return Optional.ofNullable(own != null ? own : proxies.get("all"));
    }

    private static boolean excepted(String entry, String scheme, String host, int port) {
        int mark = entry.indexOf("://");
        if (mark >= 0) {
            boolean concerned = entry.startsWith("all://") || entry.startsWith(scheme + "://");
            String named = entry.substring(mark + 3);
            return concerned && (host.equals(bare(named)) || named.equals(host + ":" + port));
        }
        if (entry.equals("*")) {
            return true;
        }
        String name = entry;
        int colon = entry.lastIndexOf(':');
        boolean portGiven = colon > 0 && (entry.indexOf(':') == colon || entry.charAt(colon - 1) == ']');
        if (portGiven) {
            if (!entry.substring(colon + 1).equals(String.valueOf(port))) {
                return false;
            }
            name = entry.substring(0, colon);
        }
        name = bare(name);
        int slash = name.indexOf('/');
        if (slash > 0) {
            return inRange(name.substring(0, slash), name.substring(slash + 1), host);
        }
        if (name.startsWith("*.")) {
            name = name.substring(1);
        }
        if (name.startsWith(".")) {
            return host.endsWith(name);
        }
        return host.equals(name)
                || !ADDRESS.matcher(name).matches() && !name.equals("localhost") && host.endsWith("." + name);
    }

    private static boolean inRange(String network, String prefix, String host) {
        if (!ADDRESS.matcher(network).matches() || !ADDRESS.matcher(host).matches() || !prefix.matches("\\d{1,3}")) {
            return false;
        }
        try {
            // Literals: no name is looked up.
            byte[] range = InetAddress.ofLiteral(network).getAddress();
            byte[] found = InetAddress.ofLiteral(host).getAddress();
            int bits = Integer.parseInt(prefix);
            if (range.length != found.length || bits > 8 * range.length) {
                return false;
            }
            for (int bit = 0; bit < bits; bit++) {
                if (((range[bit / 8] ^ found[bit / 8]) >> 7 - bit % 8 & 1) != 0) {
                    return false;
                }
            }
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    private static String bare(String host) {
        String lower = host.toLowerCase(Locale.ROOT);
        return lower.startsWith("[") && lower.endsWith("]") ? lower.substring(1, lower.length() - 1) : lower;
    }

    /** Returns the value of a Proxy-Authorization header, where the proxy's address holds a name and a password. */
    public Optional<String> authorization(URI target) {
        return proxy(target).map(URI::getRawUserInfo).map(user -> {
            String plain = URLDecoder.decode(user.replace("+", "%2B"), StandardCharsets.UTF_8);
            byte[] bytes = (plain.contains(":") ? plain : plain + ":").getBytes(StandardCharsets.UTF_8);
            return "Basic " + Base64.getEncoder().encodeToString(bytes);
        });
    }

    /** Returns what Java's client asks; without any variable, Java's own settings. */
    public ProxySelector selector() {
        @Nullable ProxySelector own = ProxySelector.getDefault();
        if (proxies.isEmpty() && own != null) {
            return own;
        }
        return new ProxySelector() {
            @Override
            public List<Proxy> select(URI uri) {
                return List.of(proxy(uri)
                        .map(p -> new Proxy(
                                Proxy.Type.HTTP,
                                new InetSocketAddress(p.getHost(), p.getPort() < 0 ? 80 : p.getPort())))
                        .orElse(Proxy.NO_PROXY));
            }

            @Override
            public void connectFailed(URI uri, SocketAddress address, IOException e) {
                // The request's own failure says it.
            }
        };
    }

    /** Shows the proxies without their passwords. */
    @Override
    public String toString() {
        return "HubProxies" + proxies.keySet();
    }
}
