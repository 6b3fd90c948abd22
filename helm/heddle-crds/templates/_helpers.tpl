{{/* A definition of this chart: it outlives the release, and with it the objects of its kind; its labels tell where it came from. */}}
{{- define "heddle-crds.object" -}}
{{- $object := .object -}}
{{- $labels := dict
  "app.kubernetes.io/name" "heddle-crds"
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/part-of" "heddle"
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- $_ := set $object.metadata "labels" (merge (dict) $labels (default dict $object.metadata.labels)) -}}
{{- $_ := set $object.metadata "annotations" (merge (dict "helm.sh/resource-policy" "keep") (default dict $object.metadata.annotations)) -}}
{{ toYaml $object }}
{{- end }}

{{/*
What is installed of the Gateway API already, as YAML: `foreign` by somebody else than this release, `newer` than ours, `experimental`;
each the version or empty. Where only rendered, nothing is known to be installed.
*/}}
{{- define "heddle-crds.installed" -}}
{{- $found := dict "foreign" "" "newer" "" "experimental" "" -}}
{{- range $path, $_ := .Files.Glob "files/gateway-api/*s.yaml" -}}
  {{- $ours := $.Files.Get $path | fromYaml -}}
  {{- if eq $ours.kind "CustomResourceDefinition" -}}
    {{- $there := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $ours.metadata.name -}}
    {{- if $there -}}
      {{- $notes := $there.metadata.annotations | default dict -}}
      {{- $version := get $notes "gateway.networking.k8s.io/bundle-version" | default "unknown" -}}
      {{- if ne (list (get $notes "meta.helm.sh/release-name") (get $notes "meta.helm.sh/release-namespace") | toJson) (list $.Release.Name $.Release.Namespace | toJson) -}}
        {{- $_ := set $found "foreign" $version -}}
      {{- end -}}
      {{- $bundle := get $ours.metadata.annotations "gateway.networking.k8s.io/bundle-version" -}}
      {{- if and (regexMatch "^v[0-9]" $version) (semverCompare (printf ">%s-0" $bundle) $version) (ne $bundle $version) -}}
        {{- $_ := set $found "newer" $version -}}
      {{- end -}}
      {{- if eq (get $notes "gateway.networking.k8s.io/channel") "experimental" -}}
        {{- $_ := set $found "experimental" $version -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{ toYaml $found }}
{{- end }}
