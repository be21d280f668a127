/* The keys of session tickets: the process's own, renewed as time goes by, never on a disk. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/tls_openssl.h"

enum { NAME_BYTES = 16, KEY_BYTES = 32, KEYS = 3 };

/* So three keys cover the life of every ticket. */
static const int64_t RENEW_US = 3600 * US_PER_S;
static const long TICKET_LIFE_S = 2 * 3600;

struct ticket_key {
	unsigned char name[NAME_BYTES], cipher[KEY_BYTES], mac[KEY_BYTES];
	int64_t made_us;
	bool is_made;
};

/* The newest first. */
static struct ticket_key keys[KEYS];

static bool make_key(void)
{
	struct ticket_key key = {.made_us = clock_now_us(), .is_made = true};
	if (RAND_bytes(key.name, sizeof(key.name)) != 1 ||
	    RAND_priv_bytes(key.cipher, sizeof(key.cipher)) != 1 ||
	    RAND_priv_bytes(key.mac, sizeof(key.mac)) != 1)
		return false;
	memmove(&keys[1], &keys[0], sizeof(keys) - sizeof(keys[0]));
	keys[0] = key;
	OPENSSL_cleanse(&key, sizeof(key));
	return true;
}

void tls_tickets_rotate(void)
{
	make_key();
}

static bool is_due(void)
{
	return !keys[0].is_made || clock_now_us() - keys[0].made_us >= RENEW_US;
}

static const struct ticket_key *find_key(const unsigned char *name)
{
	int64_t oldest_us = clock_now_us() - RENEW_US - TICKET_LIFE_S * US_PER_S;
	for (int i = 0; i < KEYS; i++)
		if (keys[i].is_made && keys[i].made_us > oldest_us &&
		    memcmp(keys[i].name, name, NAME_BYTES) == 0)
			return &keys[i];
	return NULL;
}

static bool set_mac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac,
						  sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int seal(unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	if (is_due() && !make_key())
		return 0; /* no ticket */
	const struct ticket_key *key = &keys[0];
	if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1 ||
	    EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1 ||
	    !set_mac(mac, key))
		return -1;
	memcpy(name, key->name, NAME_BYTES);
	return 1;
}

/* 0: a full handshake; 1: good; 2: good, and the client gets a newer one. */
static int open_ticket(const SSL *ssl, const unsigned char *name, const unsigned char *iv,
		       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	const struct ticket_key *key = find_key(name);
	if (!key)
		return 0;
	if (!set_mac(mac, key) ||
	    EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv) != 1)
		return -1;
	/* In TLS 1.3 a client uses a ticket once, so it needs another. */
	return SSL_version(ssl) < TLS1_3_VERSION && key == &keys[0] && !is_due() ? 1 : 2;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int seals)
{
	return seals ? seal(name, iv, cipher, mac) : open_ticket(ssl, name, iv, cipher, mac);
}

bool tls_tickets_use(SSL_CTX *ctx)
{
	SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}
