{{/* thoracle.yaml: the settings of values.yaml, and what the chart decides over them. */}}
{{- define "thoracle.config" -}}
{{- $decided := dict "data_dir" "/var/lib/thoracle" "api" (include "thoracle.api" . | fromYaml) -}}
{{- $receiver := dict "host" "0.0.0.0" "port" 11112 -}}
{{- if not (dig "receiver" "callers" dict .Values.config) -}}
{{- $_ := set $receiver "callers" (dict "*" (dict "addresses" .Values.dicom.sourceRanges)) -}}
{{- end -}}
{{- $_ := set $decided "receiver" $receiver -}}
{{- if eq .Values.mode "cluster" -}}
{{- $_ := set $decided "monitoring" (dict "host" "0.0.0.0" "port" 9464) -}}
{{- end -}}
{{- if .Values.trial.enabled -}}
{{- $endpoint := printf "http://%s-s3:8333" (include "thoracle.name" .) -}}
{{- $_ := set $decided "bucket" (dict "url" "s3://thoracle/ct" "endpoint" $endpoint "region" "us-east-1") -}}
{{- end -}}
{{- with .Values.s3.ca -}}
{{- $_ := set $decided "bucket" (dict "tls" (dict "ca" .)) -}}
{{- end -}}
{{- $inference := dict -}}
{{- if .Values.triton.enabled -}}
{{- $url := printf "%s-triton:8001" (include "thoracle.name" .) -}}
{{- $inference = dict "backend" "triton" "triton" (dict "url" $url) -}}
{{- end -}}
{{- $several := or (eq .Values.mode "cluster") .Values.triton.enabled -}}
{{- if .Values.models.claim -}}
{{- /* Named, so that an empty claim ends the workers: they would take the shipped models in its place. */ -}}
{{- $_ := set $inference "repository" "/var/lib/thoracle/models" -}}
{{- else if and $several (not (dig "inference" "repository" "" .Values.config)) -}}
{{- /* What one pod changed, no other would see; the service refuses to change the shipped models. */ -}}
{{- $_ := set $inference "repository" "/opt/thoracle/share/thoracle/models" -}}
{{- end -}}
{{- if $inference -}}
{{- $_ := set $decided "inference" $inference -}}
{{- end -}}
{{- mustMergeOverwrite (deepCopy .Values.config) $decided | toYaml -}}
{{- end }}

{{/* Where the API listens, by which names it is called, and who may ask: without a login in the values, local accounts and
tokens, of which there are none before somebody makes one. */}}
{{- define "thoracle.api" -}}
{{- $own := .Values.config.api | default dict -}}
{{- $service := printf "%s-api" (include "thoracle.name" .) -}}
{{- $inside := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) -}}
{{- $api := dict "host" "0.0.0.0" "port" 8080 "probes_port" 8081 -}}
{{- if .Values.ingress.host -}}
{{- $inside = append $inside .Values.ingress.host -}}
{{- if not $own.url -}}
{{- $_ := set $api "url" (printf "https://%s" .Values.ingress.host) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $api "hosts" (concat $inside ($own.hosts | default list)) -}}
{{- $login := $own.login | default dict -}}
{{- if not (or $login.accounts $login.tokens $login.openid $login.proxy) -}}
{{- $_ := set $api "login" (dict "accounts" true "tokens" true) -}}
{{- end -}}
{{- $api | toYaml -}}
{{- end }}
